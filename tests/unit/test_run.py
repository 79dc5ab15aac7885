"""What the first start generates and prints."""

import json
import shlex
import stat

import pytest

from webhooklog.env import read_environment
from webhooklog.env_reader import EnvironmentReader
from webhooklog.run import banner, generate_missing, trial_command, write_privately


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    for name in ("SECRET_KEY", "CIRCLECI_WEBHOOK_SECRETS", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_generates_a_key_and_one_webhooks_secret(data_dir):
    generate_missing(EnvironmentReader())
    environment = read_environment()
    assert len(environment.secret_key) >= 50
    ((name, secret),) = environment.circleci_webhook_secrets.items()
    assert name == "My CircleCI Webhook"
    assert len(bytes.fromhex(secret)) == 32


def test_generates_others_for_another_site_and_keeps_those_it_has(data_dir, monkeypatch, tmp_path):
    generate_missing(EnvironmentReader())
    first = read_environment()
    generate_missing(EnvironmentReader())
    assert read_environment() == first
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "other"))
    generate_missing(EnvironmentReader())
    assert read_environment().secret_key != first.secret_key
    assert read_environment().circleci_webhook_secrets != first.circleci_webhook_secrets


def test_generates_nothing_that_is_configured(data_dir, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "configured")
    monkeypatch.setenv("CIRCLECI_WEBHOOK_SECRETS", json.dumps({"payments": "configured"}))
    generate_missing(EnvironmentReader())
    assert list(data_dir.iterdir()) == []


def test_nobody_else_may_read_what_it_writes_and_nothing_is_overwritten(tmp_path):
    write_privately(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text\n"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_privately(tmp_path / "file", "another")


def test_the_banner_shows_the_generated_secret_and_the_password_once(data_dir):
    generate_missing(EnvironmentReader())
    environment, reader = read_environment(), EnvironmentReader()
    secret = environment.circleci_webhook_secrets["My CircleCI Webhook"]
    assert secret in banner(environment, reader, "password")
    assert "admin / password  (shown this once)" in banner(environment, reader, "password")
    assert "shown this once" not in banner(environment, reader, None)


def test_the_banner_hides_configured_secrets(data_dir, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "configured")
    monkeypatch.setenv("CIRCLECI_WEBHOOK_SECRETS", json.dumps({"My CircleCI Webhook": "hunter2"}))
    assert "hunter2" not in banner(read_environment(), EnvironmentReader(), None)


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "127.0.0.1")]
)
def test_the_banner_names_an_address_that_a_browser_can_open(data_dir, monkeypatch, address, host):
    monkeypatch.setenv("SECRET_KEY", "configured")
    monkeypatch.setenv("BIND_ADDRESS", address)
    monkeypatch.setenv("PORT", "8123")
    assert f"http://{host}:8123/admin/" in banner(read_environment(), EnvironmentReader(), None)


def test_the_printed_command_survives_a_folder_with_a_space(monkeypatch):
    monkeypatch.setenv("DATA_DIR", "/srv/my data")
    words = shlex.split(trial_command("http://127.0.0.1:8000/log-circleci-webhook"))
    assert "DATA_DIR=/srv/my data" in words
    assert words[-3:] == ["manage.py", "send_test_webhook", "http://127.0.0.1:8000/log-circleci-webhook"]


def test_the_banner_shows_urls_below_the_path_of_the_site(data_dir, monkeypatch):
    monkeypatch.setenv("SCRIPT_NAME", "/ci")
    generate_missing(EnvironmentReader())
    text = banner(read_environment(), EnvironmentReader(), None)
    assert "http://127.0.0.1:8000/ci/log-circleci-webhook\n" in text
    assert "http://127.0.0.1:8000/ci/admin/" in text
