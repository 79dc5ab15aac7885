"""The environment is read typed, and every error in it is reported at once."""

import os
from datetime import time

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host

from webhooklog import env_reader
from webhooklog.env import read_environment
from webhooklog.env_reader import BOUNDS


@pytest.fixture
def environ(monkeypatch, tmp_path):
    """A bare environment, to be set by a test."""
    for name in os.environ:
        if not name.startswith("PYTEST"):
            monkeypatch.delenv(name)
    bare = {"ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "SECRET_KEY": "key"}

    def set_variables(**variables):
        for name, value in (bare | variables).items():
            monkeypatch.setenv(name, value)

    set_variables()
    return set_variables


def test_is_closed_when_nothing_is_set(environ, tmp_path):
    environment = read_environment()
    assert environment.debug is False
    assert environment.allowed_hosts == ["localhost", "127.0.0.1", "[::1]"]
    assert environment.circleci_webhook_secrets == {}
    assert environment.public_read is False
    assert environment.trusted_proxies == []
    assert environment.database_url["ENGINE"] == "django.db.backends.sqlite3"
    assert environment.database_url["NAME"] == str(tmp_path / "webhooklog.sqlite3")
    assert environment.bind_address == "127.0.0.1"


def test_needs_a_secret_key(environ):
    environ(SECRET_KEY="")
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY: .*not set"):
        read_environment()


def test_reports_every_error_at_once(environ):
    environ(
        SECRET_KEY="",
        DEBUG="maybe",
        PORT="http",
        WEB_THREADS="0",
        LOG_LEVEL="LOUD",
        DATABASE_URL="nosuch://db",
        TRUSTED_PROXIES="10.0.0.1/8",
        CIRCLECI_WEBHOOK_SECRETS="{",
    )
    with pytest.raises(ImproperlyConfigured) as raised:
        read_environment()
    named = [line.split(":")[0].strip() for line in str(raised.value).splitlines()[1:]]
    assert named == [
        "CIRCLECI_WEBHOOK_SECRETS",
        "DATABASE_URL",
        "DEBUG",
        "LOG_LEVEL",
        "PORT",
        "SECRET_KEY",
        "TRUSTED_PROXIES",
        "WEB_THREADS",
    ]


def test_reads_types(environ):
    environ(
        DEBUG="true",
        ALLOWED_HOSTS="a.example.org, b.example.org",
        TRUSTED_PROXIES="10.0.0.0/8,::1",
        DATABASE_URL="postgresql://user:p%40ss@db:5433/log",
        MAX_BODY_BYTES="20480",
    )
    environment = read_environment()
    assert environment.debug is True
    assert environment.allowed_hosts == ["a.example.org", "b.example.org"]
    assert [str(network) for network in environment.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert environment.database_url["ENGINE"] == "django.db.backends.postgresql"
    assert environment.database_url["PASSWORD"] == "p@ss"
    assert environment.max_body_bytes == 20480


def test_reads_webhooks_with_one_secret_several_or_none(environ):
    environ(CIRCLECI_WEBHOOK_SECRETS='{"My CircleCI Webhook": "ABCD1234", "payments": ["new", "old"], "lab": null}')
    assert read_environment().circleci_webhook_secrets == {
        "My CircleCI Webhook": "ABCD1234",
        "payments": ["new", "old"],
        "lab": None,
    }


@pytest.mark.parametrize("value", ["[]", '"text"', '{"a": 1}', '{"a": []}', '{"a": [1]}', '{"a": {}}', "not json"])
def test_refuses_secrets_of_another_shape_without_showing_them(environ, value):
    environ(CIRCLECI_WEBHOOK_SECRETS=value)
    with pytest.raises(ImproperlyConfigured, match="CIRCLECI_WEBHOOK_SECRETS"):
        read_environment()


def test_no_error_shows_a_secret(environ):
    environ(CIRCLECI_WEBHOOK_SECRETS='{"a": "hunter2", "b": 5}', DATABASE_URL="nosuch://user:hunter2@db")
    with pytest.raises(ImproperlyConfigured) as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)


def test_its_representation_shows_no_secret(environ):
    environ(
        SECRET_KEY="hunter2",
        SECRET_KEY_FALLBACKS="hunter2",
        CIRCLECI_WEBHOOK_SECRETS='{"a": "hunter2"}',
        DATABASE_URL="postgresql://u:hunter2@db/log",
        EMAIL_URL="smtp+tls://u:hunter2@mail.example.com",
    )
    assert "hunter2" not in repr(read_environment())


@pytest.mark.parametrize(("content", "value"), [("key\n", "key"), ("key", "key"), (" key \n\n", " key \n")])
def test_reads_a_variable_from_a_file_without_its_last_newline(environ, tmp_path, content, value):
    path = tmp_path / "secret"
    path.write_text(content)
    environ(SECRET_KEY="", SECRET_KEY_FILE=str(path))
    assert read_environment().secret_key == value


def test_every_variable_may_come_from_a_file(environ, tmp_path):
    (tmp_path / "port").write_text("9000\n")
    (tmp_path / "debug").write_text("true\n")
    environ(PORT_FILE=str(tmp_path / "port"), DEBUG_FILE=str(tmp_path / "debug"))
    assert (read_environment().port, read_environment().debug) == (9000, True)


def test_names_a_file_that_cannot_be_read(environ):
    environ(PORT_FILE="/no/such/file")
    with pytest.raises(ImproperlyConfigured, match="PORT: Cannot read the file that PORT_FILE names: No such file"):
        read_environment()


def test_refuses_a_variable_that_is_set_twice(environ, tmp_path):
    (tmp_path / "port").write_text("9000")
    environ(PORT="8000", PORT_FILE=str(tmp_path / "port"))
    with pytest.raises(ImproperlyConfigured, match="Set PORT or PORT_FILE, not both"):
        read_environment()


def test_uses_what_the_first_start_has_generated_unless_something_is_configured(environ, tmp_path):
    (tmp_path / "secret_key").write_text("generated\n")
    (tmp_path / "circleci_webhook_secrets.json").write_text('{"generated": "secret"}\n')
    environ(SECRET_KEY="")
    environment = read_environment()
    assert environment.secret_key == "generated"
    assert environment.circleci_webhook_secrets == {"generated": "secret"}
    environ(SECRET_KEY="configured", CIRCLECI_WEBHOOK_SECRETS='{"configured": "secret"}')
    assert read_environment().secret_key == "configured"
    assert read_environment().circleci_webhook_secrets == {"configured": "secret"}


def test_reads_a_env_file_which_the_environment_overrules(environ, tmp_path):
    (tmp_path / "env").write_text("PORT=9000\nWEB_THREADS=3\n")
    environ(ENV_FILE=str(tmp_path / "env"), PORT="9001")
    assert (read_environment().port, read_environment().web_threads) == (9001, 3)


@pytest.mark.parametrize(
    "value",
    [
        '{"a": "x", "a": "y"}',
        '{"a": "\\ud800"}',
        '{"a\\u0000b": null}',
        '{"a": ["good", "b\\u0000d"]}',
        '{"a": {"secrets": ["x"]}}',
        '{"a": {"secrets": ["x"], "projects": []}}',
        '{"a": {"secrets": ["x"], "projects": "github/acme/*"}}',
        '{"a": {"secrets": 5, "projects": ["*"]}}',
        '{"a": {"secrets": "x", "projects": ["*"], "colour": 1}}',
        "[" * 100_000,
    ],
)
def test_refuses_webhooks_that_could_not_work(environ, value):
    environ(CIRCLECI_WEBHOOK_SECRETS=value)
    with pytest.raises(ImproperlyConfigured, match="CIRCLECI_WEBHOOK_SECRETS: "):
        read_environment()


def test_reads_a_webhook_that_is_bound_to_projects(environ):
    environ(CIRCLECI_WEBHOOK_SECRETS='{"a": {"secrets": ["x"], "projects": ["github/acme/*"]}, "b": "y"}')
    assert read_environment().circleci_webhook_secrets["a"]["projects"] == ["github/acme/*"]


def test_an_error_in_the_json_does_not_echo_it(environ):
    environ(CIRCLECI_WEBHOOK_SECRETS='{"a": "hunter2"')
    with pytest.raises(ImproperlyConfigured) as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("""CIRCLECI_WEBHOOK_SECRETS={"a": "pa${HOME}ss$y"}""", "pa${HOME}ss$y"),
        ("""CIRCLECI_WEBHOOK_SECRETS='{"a": "pa${HOME} #ss"}'""", "pa${HOME} #ss"),
    ],
)
def test_a_env_file_changes_nothing_in_a_secret(environ, tmp_path, line, secret):
    (tmp_path / "env").write_text(f"{line}\n")
    environ(ENV_FILE=str(tmp_path / "env"))
    assert read_environment().circleci_webhook_secrets == {"a": secret}


@pytest.mark.parametrize("name", ["en#vd", "en%41vd", "en?v=d", "e nvd"])
def test_the_database_stands_in_the_data_folder_whatever_its_name(environ, tmp_path, name):
    environ(DATA_DIR=str(tmp_path / name))
    assert read_environment().database_url["NAME"] == str(tmp_path / name / "webhooklog.sqlite3")


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_refuses_a_port_that_there_is_not(environ, port):
    environ(PORT=port)
    with pytest.raises(ImproperlyConfigured, match="PORT: "):
        read_environment()


def test_leaves_out_empty_hosts(environ):
    environ(ALLOWED_HOSTS="a.example.org,,b.example.org,")
    assert read_environment().allowed_hosts == ["a.example.org", "b.example.org"]


@pytest.mark.parametrize(
    ("value", "path"),
    [("", ""), ("/", ""), ("/ci", "/ci"), ("/ci/", "/ci"), ("/tools/ci-log_2.0~a", "/tools/ci-log_2.0~a")],
)
def test_a_path_has_no_slash_at_its_end(environ, value, path):
    environ(SCRIPT_NAME=value)
    assert read_environment().script_name == path


@pytest.mark.parametrize(
    "value",
    ["ci", "ci/", "/ci//log", "/../ci", "/ci/.", "/c i", "/ci?x", "/ci#x", "/größe", "https://example.com/ci", "/%63i"],
)
def test_names_a_path_that_no_url_could_hold_as_it_is(environ, value):
    environ(SCRIPT_NAME=value)
    with pytest.raises(ImproperlyConfigured, match="SCRIPT_NAME: Must be a path such as /ci"):
        read_environment()


@pytest.mark.parametrize(("name", "bounds"), BOUNDS.items())
def test_a_number_beyond_its_bounds_is_an_error_that_names_them(environ, name, bounds):
    lowest, highest = bounds
    for accepted in bounds:
        environ(**{name: str(accepted)})
        assert getattr(read_environment(), name.lower()) == accepted
    for value in (str(lowest - 1), str(highest + 1), "9" * 5_000, "1e3", "many", " "):
        environ(**{name: value})
        with pytest.raises(ImproperlyConfigured, match=f"  {name}: Must be a whole number from {lowest} to {highest}."):
            read_environment()


@pytest.mark.parametrize("name", ["DEBUG", "HTTPS_ONLY", "PUBLIC_READ"])
def test_an_error_of_a_switch_says_what_is_accepted(environ, name):
    environ(**{name: "maybe"})
    with pytest.raises(ImproperlyConfigured, match=f"{name}: Must be true or false."):
        read_environment()


@pytest.mark.parametrize("address", ["nonsense", "0", "127.0.0.1:8000", "unix:/run/webhooklog", "[::1]", "*"])
def test_rejects_an_address_that_nothing_can_listen_on(environ, address):
    environ(BIND_ADDRESS=address)
    with pytest.raises(ImproperlyConfigured, match="BIND_ADDRESS: Must be an IP address"):
        read_environment()


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "::1", "192.0.2.7", "localhost"])
def test_reads_an_address_to_listen_on(environ, address):
    environ(BIND_ADDRESS=address)
    assert read_environment().bind_address == address


@pytest.mark.parametrize("name", ["PORT", "DATABASE_URL", "SECRET_KEY", "DATA_DIR", "TRUSTED_PROXIES"])
@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "No such file"),
        ("", "it is empty"),
        ("\n", "it is empty"),
        (b"\xff", "it is not UTF-8"),
        ("a\0b", "without NUL"),
    ],
)
def test_an_unusable_file_of_a_variable_is_an_error(environ, tmp_path, name, content, error):
    path = tmp_path / "value"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    environ(**{name: "", f"{name}_FILE": str(path)})
    with pytest.raises(ImproperlyConfigured, match=f"  {name}: .*{error}"):
        read_environment()


def test_a_folder_in_place_of_a_variables_file_is_an_error(environ, tmp_path):
    environ(PORT_FILE=str(tmp_path))
    with pytest.raises(ImproperlyConfigured, match="PORT: Cannot read the file that PORT_FILE names: Is a directory"):
        read_environment()


def test_a_secret_in_place_of_a_files_path_is_not_shown(environ):
    environ(
        SECRET_KEY="",
        SECRET_KEY_FILE="hunter2",
        DATABASE_URL_FILE="postgresql://u:hunter2@db/log",
        CIRCLECI_WEBHOOK_SECRETS_FILE='{"payments": "hunter2"}',
    )
    with pytest.raises(ImproperlyConfigured) as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)


def test_the_data_folder_may_come_from_a_file(environ, tmp_path):
    (tmp_path / "data_dir").write_text(f"{tmp_path / 'data'}\n")
    environ(DATA_DIR="", DATA_DIR_FILE=str(tmp_path / "data_dir"))
    assert read_environment().data_dir == tmp_path / "data"


@pytest.mark.parametrize("folder", ["a file", "a file/folder", "9" * 300])
def test_an_unusable_data_folder_is_an_error(environ, tmp_path, folder):
    (tmp_path / "a file").touch()
    environ(DATA_DIR=str(tmp_path / folder))
    with pytest.raises(ImproperlyConfigured, match="DATA_DIR: Cannot write to the folder"):
        read_environment()


def test_bytes_that_are_not_utf_8_are_an_error(environ):
    environ(DEFAULT_BRANCHES="main,\udcff")
    with pytest.raises(ImproperlyConfigured, match="DEFAULT_BRANCHES: Must be UTF-8"):
        read_environment()


@pytest.mark.parametrize("name", ["missing.env", ".", "9" * 300])
def test_an_unreadable_env_file_is_an_error(environ, tmp_path, name):
    environ(ENV_FILE=str(tmp_path / name))
    with pytest.raises(ImproperlyConfigured, match="ENV_FILE: Cannot read"):
        read_environment()


def test_an_env_file_in_another_encoding_is_an_error(environ, tmp_path):
    (tmp_path / "env").write_bytes("DEFAULT_BRANCHES=été".encode("latin-1"))
    environ(ENV_FILE=str(tmp_path / "env"))
    with pytest.raises(ImproperlyConfigured, match=r"ENV_FILE: Cannot read .*: it is not UTF-8"):
        read_environment()


def test_does_without_an_env_file_that_nothing_names(environ, tmp_path, monkeypatch):
    monkeypatch.setattr(env_reader, "BASE_DIR", tmp_path)
    environ(ENV_FILE="")
    assert read_environment().port == 8000


@pytest.mark.parametrize(
    "value",
    [
        "https://hooks.example.com",
        "hooks.example.com:443",
        "hooks.example.com/",
        "hooks.example.com/log-circleci-webhook",
        "a.example.com b.example.com",
        "a.example.com;b.example.com",
        '["hooks.example.com"]',
        '["a.example.com", "b.example.com"]',
        "'hooks.example.com'",
        "*.example.com",
        "hooks.example.com.",
        "hooks_example.com",
        "hööks.example.com",
        "::1",
        "[::1]:8000",
        "[::0001]",
        "-1",
        ".",
        ",",
        " ",
    ],
)
def test_rejects_a_host_that_no_request_can_have(environ, value):
    environ(ALLOWED_HOSTS=value)
    with pytest.raises(ImproperlyConfigured, match=r"ALLOWED_HOSTS: .* is not a host name. Separate names with commas"):
        read_environment()


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("hooks.example.com", "hooks.example.com"),
        ("Hooks.Example.com", "hooks.example.com"),
        (".example.com", "hooks.example.com"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8::7]", "[2001:db8::7]"),
        ("web", "web"),
        ("*", "anything.example.com"),
    ],
)
def test_each_accepted_host_matches_a_request(environ, pattern, host):
    environ(ALLOWED_HOSTS=f" {pattern}, ")
    assert validate_host(host, read_environment().allowed_hosts)


@pytest.mark.parametrize(
    "value",
    [
        '["main"]',
        "'main'",
        "refs/heads/main",
        "refs/heads/*",
        "main master",
        "^main$",
        "/main",
        "main/",
        "a..b",
        "*..b",
        "release/*/",
        "release/[12]",
        ":main",
        "github/acme/legacy-*:",
        "github/acme/legacy-*:/develop",
        "github/acme/legacy 2:develop",
        "github/acme/[lm]*:develop",
        "a:b:c",
        "https://github.com/acme/orchard",
    ],
)
def test_rejects_what_no_branch_can_be_called(environ, value):
    environ(DEFAULT_BRANCHES=value)
    with pytest.raises(ImproperlyConfigured, match=r"DEFAULT_BRANCHES: .* is not a branch name"):
        read_environment()


def test_reads_branches(environ):
    environ(DEFAULT_BRANCHES="main, release/2.0,feature#1,")
    assert read_environment().default_branches == ["main", "release/2.0", "feature#1"]


def test_reads_names_of_channel_plugins(environ):
    environ(CHANNEL_PLUGINS="paperplane, carrier-pigeon_2,")
    assert read_environment().channel_plugins == ["paperplane", "carrier-pigeon_2"]


@pytest.mark.parametrize(
    "name",
    ["Paperplane", "paper plane", "[]", "-", "webhooklog-paperplane", "webhooklog_paperplane:PaperPlane", "p" * 21],
)
def test_rejects_what_cannot_be_the_name_of_a_plugin(environ, name):
    environ(CHANNEL_PLUGINS=f"paperplane,{name}")
    with pytest.raises(
        ImproperlyConfigured, match=r"CHANNEL_PLUGINS: '.*' is not a plug-in. Write the kinds of plug-ins, not"
    ):
        read_environment()


def test_reads_patterns_of_branches_for_all_projects_and_for_some(environ):
    environ(DEFAULT_BRANCHES="main,release/*, v?.x,*,github/acme/legacy-*:develop,*/*/?-old:release/*")
    assert read_environment().default_branches == [
        "main",
        "release/*",
        "v?.x",
        "*",
        "github/acme/legacy-*:develop",
        "*/*/?-old:release/*",
    ]


@pytest.mark.parametrize(
    ("value", "at"), [("", None), ("00:00", time(0, 0)), ("03:30", time(3, 30)), ("23:59", time(23, 59))]
)
def test_reads_a_time_of_day(environ, value, at):
    environ(PRUNE_AT=value)
    assert read_environment().prune_at == at


@pytest.mark.parametrize(
    "value", ["3:30", "24:00", "03:60", "03:30:00", "0330", "03:30Z", "03:30+02:00", "noon", "03:30\n"]
)
def test_rejects_another_form_of_a_time_of_day(environ, value):
    environ(PRUNE_AT=value)
    with pytest.raises(
        ImproperlyConfigured, match=r"PRUNE_AT: .* is not a time of day. Write hours and minutes in UTC"
    ):
        read_environment()


@pytest.mark.parametrize(("value", "watch"), [("", "embedded"), ("embedded", "embedded"), ("off", "off")])
def test_reads_where_the_watch_runs(environ, value, watch):
    environ(WATCH=value)
    assert read_environment().watch == watch


@pytest.mark.parametrize("value", ["on", "true", "OFF", "0"])
def test_rejects_another_place_of_the_watch(environ, value):
    environ(WATCH=value)
    with pytest.raises(ImproperlyConfigured, match="WATCH: Must be one of: embedded, off"):
        read_environment()


def test_changes_are_reported_for_an_hour_unless_something_else_is_set(environ):
    assert read_environment().notification_max_age_minutes == 60
    environ(NOTIFICATION_MAX_AGE_MINUTES="1440")
    assert read_environment().notification_max_age_minutes == 1_440


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("", []),
        (",", []),
        ("old", ["old"]),
        ("old, older+/= ,", ["old", "older+/="]),
        ("a key with spaces", ["a key with spaces"]),
        ("[]", []),
        ('["old, key ", " [older]\\n"]', ["old, key ", " [older]\n"]),
    ],
)
def test_reads_earlier_secret_keys_without_empty_ones(environ, value, keys):
    environ(SECRET_KEY_FALLBACKS=value)
    assert read_environment().secret_key_fallbacks == keys


@pytest.mark.parametrize(
    "value", ["[hunter2", '["hunter2"', '["hunter2", 3]', '["hunter2", null]', '["hunter2", ""]', r'["hunter2\u0000"]']
)
def test_rejects_an_invalid_list_of_secret_keys_without_showing_them(environ, value):
    environ(SECRET_KEY_FALLBACKS=value)
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY_FALLBACKS: (Must be a JSON list|A key is)") as raised:
        read_environment()
    assert "hunter" not in str(raised.value)


@pytest.mark.parametrize("value", ["", "ci@example.com", "webhooklog <ci@example.com>"])
def test_reads_the_sender_of_emails(environ, value):
    environ(EMAIL_FROM=value)
    assert read_environment().email_from == value


@pytest.mark.parametrize("value", ["webhooklog", "ci@example.com\nBcc: eve@example.com", "ci@example.com\n"])
def test_rejects_a_sender_that_is_not_one_line_with_an_address(environ, value):
    environ(EMAIL_FROM=value)
    with pytest.raises(ImproperlyConfigured, match="EMAIL_FROM: Must be an e-mail address in one line"):
        read_environment()


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\u2028"])
def test_rejects_secret_keys_on_several_lines_without_showing_them(environ, separator):
    environ(SECRET_KEY_FALLBACKS=f"hunter2{separator}hunter3")
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FALLBACKS: Must be earlier values") as raised:
        read_environment()
    assert "hunter" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", ""),
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("https://hooks.example.com/", "https://hooks.example.com"),
        ("https://example.com/tools/ci-log_2.0~a/", "https://example.com/tools/ci-log_2.0~a"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[2001:db8::7]:8000", "http://[2001:db8::7]:8000"),
    ],
)
def test_reads_the_url_of_the_site_without_a_slash_at_its_end(environ, value, url):
    environ(SITE_URL=value)
    assert read_environment().site_url == url


@pytest.mark.parametrize(
    "value",
    [
        "hooks.example.com",
        "ftp://hooks.example.com",
        "HTTPS://hooks.example.com",
        "https://",
        "https://:443",
        "https://..",
        "https://[::1",
        "https://hooks.example.com:port",
        "https://hooks.example.com:0",
        "https://hooks.example.com:99999",
        "https://hooks.example.com?page=1",
        "https://hooks.example.com/#top",
        "https://ada:hunter2@hooks.example.com",
        "https://hooks.example.com https://ci.example.com",
    ],
)
def test_rejects_a_url_that_no_message_can_link_to(environ, value):
    environ(SITE_URL=value)
    with pytest.raises(ImproperlyConfigured, match="SITE_URL: Must be the site's URL, such as") as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "value", ["", "http://proxy", "http://proxy.example.com:3128", "http://10.0.0.3:8080/", "http://[fd00::3]:3128"]
)
def test_reads_the_url_of_a_proxy(environ, value):
    environ(NOTIFICATION_PROXY_URL=value)
    assert read_environment().notification_proxy_url == value


@pytest.mark.parametrize(
    "value",
    [
        "proxy.example.com:3128",
        "https://proxy.example.com:3128",
        "socks5://proxy.example.com:1080",
        "http://",
        "http://[::1",
        "http://proxy.example.com:port",
        "http://proxy.example.com:0",
        "http://proxy.example.com:99999",
        "http://proxy.example.com/path",
        "http://ada:hunter2@proxy.example.com:3128",
    ],
)
def test_rejects_a_proxy_that_channels_cannot_use_without_showing_its_password(environ, value):
    environ(NOTIFICATION_PROXY_URL=value)
    with pytest.raises(ImproperlyConfigured, match="NOTIFICATION_PROXY_URL: Must be the URL of an HTTP") as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "host", "port", "encryption"),
    [
        ("smtp+tls://mail.example.com", "mail.example.com", 587, "EMAIL_USE_TLS"),
        ("submission://mail.example.com:2525/", "mail.example.com", 2525, "EMAIL_USE_TLS"),
        ("smtp+ssl://mail.example.com", "mail.example.com", 465, "EMAIL_USE_SSL"),
        ("smtps://[::1]:4650", "::1", 4650, "EMAIL_USE_SSL"),
        ("smtp://localhost", "localhost", 25, None),
    ],
)
def test_reads_a_mail_server_with_its_port_and_encryption(environ, value, host, port, encryption):
    environ(EMAIL_URL=value)
    settings = read_environment().email_url
    assert settings["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend"
    assert (settings["EMAIL_HOST"], settings["EMAIL_PORT"]) == (host, port)
    assert (settings["EMAIL_HOST_USER"], settings["EMAIL_HOST_PASSWORD"]) == ("", "")
    assert [name for name in ("EMAIL_USE_TLS", "EMAIL_USE_SSL") if settings.get(name)] == [encryption][
        : bool(encryption)
    ]


def test_reads_a_mail_servers_user_and_password(environ):
    environ(EMAIL_URL="smtp+tls://ada%40example.com:p%2Fw%23%3F@mail.example.com")
    settings = read_environment().email_url
    assert (settings["EMAIL_HOST_USER"], settings["EMAIL_HOST_PASSWORD"]) == ("ada@example.com", "p/w#?")


@pytest.mark.parametrize(("value", "backend"), [("", "dummy"), ("console://", "console")])
def test_needs_no_mail_server(environ, value, backend):
    environ(EMAIL_URL=value)
    expected = {"EMAIL_BACKEND": f"django.core.mail.backends.{backend}.EmailBackend"}
    assert read_environment().email_url == expected


@pytest.mark.parametrize(
    "value",
    [
        "nonsense",
        "mail.example.com:587",
        "http://u:hunter2@mail.example.com",
        "smtp+tls://",
        "smtp+tls://u:hunter2@",
        "smtp+tls://u:hunter2@[::1",
        "smtp+tls://u:hunter2@mail.example.com:port",
        "smtp+tls://u:hunter2@mail.example.com:0",
        "smtp+tls://u:hunter2@mail.example.com:99999",
        "smtp+tls://u:hunter2@mail.example.com?tls=True",
        # Special characters in the password.
        "smtp+tls://u:hunter2/3@mail.example.com",
        "smtp+tls://u:2/hunter2@mail.example.com",
        "smtp+tls://u:2#hunter2@mail.example.com",
        "smtp+tls://u:2?hunter2@mail.example.com",
    ],
)
def test_rejects_a_mail_server_that_cannot_be_reached_without_showing_its_password(environ, value):
    environ(EMAIL_URL=value)
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL: Must look like smtp") as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("value", ["10.0.0.0/8,fd00::/8", "192.168.0.7"])
def test_reads_the_networks_that_channels_may_reach(environ, value):
    environ(NOTIFICATION_ALLOWED_NETWORKS=value)
    networks = [str(each) for each in read_environment().notification_allowed_networks]
    assert networks == [each if "/" in each else f"{each}/32" for each in value.split(",")]


@pytest.mark.parametrize("value", ["10.0.0.1:8000", '["10.0.0.1"]', "proxy", "*", "::ffff:10.0.0.2", "::ffff:0:0/96"])
def test_rejects_a_proxy_that_no_request_can_come_from(environ, value):
    environ(TRUSTED_PROXIES=value)
    with pytest.raises(ImproperlyConfigured, match="TRUSTED_PROXIES: "):
        read_environment()


def test_a_mapped_address_is_reported_in_the_same_words_for_clients_and_channels(environ):
    environ(NOTIFICATION_ALLOWED_NETWORKS="::ffff:10.0.0.2")
    with pytest.raises(ImproperlyConfigured, match=r"NETWORKS: .* never matches: write the IPv4 address 10\.0\.0\.2 "):
        read_environment()


@pytest.mark.parametrize("port", ["0", "0443", "65536", "99999"])
def test_rejects_an_origin_that_no_browser_sends(environ, port):
    environ(CORS_ALLOWED_ORIGINS=f"https://grafana.example.com:{port}")
    with pytest.raises(ImproperlyConfigured, match=r"CORS_ALLOWED_ORIGINS: .* is not an origin"):
        read_environment()


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://u:hunter2@db/log",
        "postgis://u:hunter2@db/log",
        "postgresql://u:hunter2@db",
        "postgresql://u:hunter2@db/",
        "postgresql://u:hunter2@db:port/log",
        "postgresql://u:hunter2@db:99999/log",
        "postgresql://u:hunter2@[::1/log",
        f"postgresql://u:hunter2@db/{'n' * 64}",
        "postgresql://u:hunter2@db/a%00b",
        # Special characters in the password.
        "postgresql://u:hunter2/3@db/log",
        "postgresql://u:2/hunter2@db/log",
        "postgresql://u:2#hunter2@db/log",
        "postgresql://u:2?hunter2@db/log",
        # In memory.
        "sqlite://",
        "sqlite:///",
        "sqlite://:memory:",
        "sqlite:///:memory:",
        "sqlite:///%3Amemory%3A",
        "sqlite:///file::memory:?cache=shared",
        "sqlite:///file:log?mode=memory",
        # A host in place of a folder.
        "sqlite://var/log.sqlite3",
    ],
)
def test_rejects_a_database_that_cannot_hold_a_log_without_showing_its_password(environ, url):
    environ(DATABASE_URL=url)
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL: Must ") as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("path", ["folder", "missing/log.sqlite3", "file/log.sqlite3", f"folder/{'9' * 300}"])
def test_rejects_a_path_that_sqlite_cannot_open(environ, tmp_path, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    environ(DATABASE_URL=f"sqlite:///{tmp_path / path}")
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL: SQLite cannot open"):
        read_environment()


@pytest.mark.parametrize(
    "url", ["postgresql:///log", "postgres://db/log?sslmode=require", "postgresql:///?service=log"]
)
def test_reads_the_usual_urls_of_postgresql(environ, url):
    environ(DATABASE_URL=url)
    assert read_environment().database_url["ENGINE"] == "django.db.backends.postgresql"


@pytest.mark.parametrize(
    "token", ["short", "fifteen-letters", "a token with spaces in it", "ein-Schlüssel-mit-Umlaut", "=" * 20]
)
def test_rejects_a_token_for_metrics_that_could_be_guessed_or_not_be_sent(environ, token):
    environ(METRICS_TOKEN=token)
    with pytest.raises(ImproperlyConfigured, match="METRICS_TOKEN: Must be at least 16 letters, digits") as raised:
        read_environment()
    assert token not in str(raised.value)


@pytest.mark.parametrize("token", ["", "0123456789abcdef", "-._~+/AbCdEfGhIjKl=="])
def test_reads_a_token_for_metrics(environ, token):
    environ(METRICS_TOKEN=token)
    assert read_environment().metrics_token == token


@pytest.mark.parametrize(
    ("hosts", "host", "port"),
    [
        ("db1:5432,db2:5433", "db1,db2", "5432,5433"),
        ("u:p%40ss@db1.example.com,db2:5433", "db1.example.com,db2", ",5433"),
        ("u:a,b@[::1]:5432,10.0.0.2,[fd00::2]", "::1,10.0.0.2,fd00::2", "5432,,"),
    ],
)
def test_reads_several_hosts_of_postgresql_of_which_one_is_writable(environ, hosts, host, port):
    environ(DATABASE_URL=f"postgresql://{hosts}/log?target_session_attrs=read-write&sslmode=require")
    database = read_environment().database_url
    assert (database["HOST"], database["PORT"], database["NAME"]) == (host, port, "log")
    assert database["OPTIONS"] == {"target_session_attrs": "read-write", "sslmode": "require"}


@pytest.mark.parametrize(
    ("hosts", "error"),
    [
        ("u:hunter2@db1,", "at most 3 hosts"),
        ("u:hunter2@,db2", "at most 3 hosts"),
        ("u:hunter2@db1:5432,db2:99999", "at most 3 hosts"),
        ("u:hunter2@db1,-db2", "at most 3 hosts"),
        ("u:hunter2@db1,db2,db3,db4", "at most 3 hosts"),
        ("u:hunter2,hunter2/3@db1", "with special characters"),
        ("u:2,3#hunter2@db1,db2", "with special characters"),
    ],
)
def test_rejects_hosts_that_cannot_be_found_without_showing_the_password(environ, hosts, error):
    environ(DATABASE_URL=f"postgresql://{hosts}/log?target_session_attrs=read-write")
    with pytest.raises(ImproperlyConfigured, match=f"DATABASE_URL: Must .*{error}") as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("option", ["host", "hostaddr"])
def test_rejects_more_hosts_in_an_option_than_can_be_tried_in_time(environ, option):
    url = f"postgresql:///log?target_session_attrs=read-write&{option}="
    environ(DATABASE_URL=f"{url}10.0.0.1,10.0.0.2,10.0.0.3")
    assert read_environment().database_url["OPTIONS"][option] == "10.0.0.1,10.0.0.2,10.0.0.3"
    environ(DATABASE_URL=f"{url}10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4")
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL: Must have at most 3 hosts"):
        read_environment()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db1,db2/log",
        "postgresql://db1:5432,db2:5433/log?target_session_attrs=any",
        "postgresql://db1,db2/log?target_session_attrs=prefer-standby",
        "postgresql://db1,db2/log?target_session_attrs=read-write&target_session_attrs=any",
        "postgresql:///log?host=db1,db2",
    ],
)
def test_rejects_several_hosts_of_which_a_standby_may_be_used(environ, url):
    environ(DATABASE_URL=url)
    with pytest.raises(ImproperlyConfigured, match=r"Must end in \?target_session_attrs=read-write: of several hosts"):
        read_environment()


def test_reads_a_replica(environ):
    environ(DATABASE_URL="postgresql://db/log", DATABASE_REPLICA_URL="postgresql://u:p%40ss@replica:5433/log")
    environment = read_environment()
    assert environment.database_replica_url["HOST"] == "replica"
    assert environment.database_replica_url["PASSWORD"] == "p@ss"
    assert environment.replica_max_lag_seconds == 10


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////srv/log.sqlite3",
        "postgresql://u:hunter2@replica",
        "mysql://u:hunter2@db/log",
        "postgresql://u:hunter2@db1,db2/log",
        "postgresql://u:hunter2@db1,db2/log?target_session_attrs=read-write",
        "postgresql://u:hunter2@db1/log?target_session_attrs=read-write",
    ],
)
def test_rejects_a_replica_that_is_not_one_standby_of_postgresql(environ, url):
    environ(DATABASE_URL="postgresql://db/log", DATABASE_REPLICA_URL=url)
    with pytest.raises(
        ImproperlyConfigured, match="DATABASE_REPLICA_URL: Must name one standby: postgresql://"
    ) as raised:
        read_environment()
    assert "hunter2" not in str(raised.value)
    assert "sqlite:" not in str(raised.value)


def test_rejects_a_replica_of_sqlite(environ):
    environ(DATABASE_REPLICA_URL="postgresql://replica/log")
    with pytest.raises(ImproperlyConfigured, match="DATABASE_REPLICA_URL: Needs PostgreSQL in DATABASE_URL"):
        read_environment()
