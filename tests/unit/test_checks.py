"""System checks find what is wrong in the settings before CircleCI does."""

from ipaddress import ip_network

import pytest
from django.core.checks import run_checks
from django.db import connection

GOOD = "a-secret-that-is-long-enough"


def ids():
    return [message.id for message in run_checks() if message.id.startswith("logs.")]


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ({"payments": GOOD}, []),
        ({"payments": [GOOD, GOOD + "-old"]}, []),
        ({}, ["logs.W001"]),
        ({"payments": ""}, ["logs.E001"]),
        ({"payments": [GOOD, ""]}, ["logs.E001"]),
        # As a key of HMAC it is the same as an empty one.
        ({"payments": "\0\0"}, ["logs.E001", "logs.W002"]),
        ({"платежи": GOOD}, ["logs.E002"]),
        ({"!!!": GOOD}, ["logs.E002"]),
        ({"n" * 256: GOOD}, ["logs.E002"]),
        ({"Pay ments": GOOD, "pay-ments": GOOD + "2"}, ["logs.E003"]),
        ({"payments": "ABCD1234"}, ["logs.W002"]),
        ({"payments": "x" * 15}, ["logs.W002"]),
        ({"payments": "x" * 16}, []),
        ({"!!!": GOOD, "???": GOOD + "2"}, ["logs.E002", "logs.E002"]),
        ({"payments": [GOOD, GOOD]}, []),
        ({"payments": {"secrets": [GOOD], "projects": ["github/acme/*"]}}, []),
        ({"payments": None}, ["logs.W003"]),
        ({"payments": GOOD, "lab": GOOD}, ["logs.W004"]),
    ],
)
def test_checks_the_configured_webhooks(settings, secrets, expected):
    settings.CIRCLECI_WEBHOOK_SECRETS = secrets
    assert ids() == expected


def test_no_message_shows_a_secret(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": "hunter2", "lab": "hunter2"}
    messages = run_checks()
    assert messages
    assert not [message for message in messages if "hunter2" in str(message)]


@pytest.mark.parametrize(
    ("debug", "https", "expected"), [(True, True, ["logs.E004"]), (True, False, []), (False, True, [])]
)
def test_debug_at_a_site_with_https_is_an_error(settings, debug, https, expected):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": GOOD}
    settings.DEBUG, settings.SECURE_SSL_REDIRECT = debug, https
    settings.ALLOWED_HOSTS, settings.TRUSTED_PROXIES = ["localhost"], [ip_network("127.0.0.1")]
    settings.SITE_URL = "https://hooks.example.com"
    assert [id_ for id_ in ids() if id_ != "logs.W008"] == expected


@pytest.fixture
def site(settings):
    """The settings of a site on a laptop, without a message."""
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": GOOD}
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    settings.BIND_ADDRESS = "127.0.0.1"
    assert ids() == []
    return settings


@pytest.mark.parametrize(
    ("address", "hosts", "expected"),
    [
        ("127.0.0.1", ["localhost", "127.0.0.1", "[::1]"], []),
        ("localhost", [".localhost", "webhooklog.localhost"], []),
        ("::1", ["127.0.0.2"], []),
        ("0.0.0.0", ["localhost"], ["logs.E005"]),
        ("::", ["localhost"], ["logs.E005"]),
        ("192.0.2.7", ["localhost"], ["logs.E005"]),
        ("127.0.0.1", ["localhost", "hooks.example.com"], ["logs.E005"]),
        ("127.0.0.1", ["*"], ["logs.E005"]),
        ("127.0.0.1", ["notlocalhost"], ["logs.E005"]),
    ],
)
def test_debug_where_other_machines_can_reach_it_is_an_error(site, address, hosts, expected):
    site.BIND_ADDRESS, site.ALLOWED_HOSTS = address, hosts
    assert ids() == []
    site.DEBUG = True
    assert ids() == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "gh/acme/*",
        "bb/acme/orchard",
        "gl/acme/orchard",
        "GitHub/acme/*",
        "/github/acme/*",
        "github/acme/*/",
        "github/acme",
        "github//orchard",
        "github/acme/orchard/*",
        "acme/orchard",
        "acme/*",
        "orchard",
        "gh*",
        "https://github.com/acme/orchard",
        "https://app.circleci.com/pipelines/github/acme/*",
        "github.com/acme/*",
        "git@github.com:acme/orchard",
        " github/acme/*",
        "github/acme/orchard ",
        "",
    ],
)
def test_warns_of_a_pattern_that_matches_no_project(site, pattern):
    site.CIRCLECI_WEBHOOK_SECRETS = {"payments": {"secrets": [GOOD], "projects": ["github/acme/*", pattern]}}
    (message,) = [message for message in run_checks() if message.id == "logs.W005"]
    assert repr(pattern) in message.msg
    assert "CIRCLECI_WEBHOOK_SECRETS" in message.hint
    assert "github/acme/orchard (not gh/)" in message.hint


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "github/*",
        "github/acme/*",
        "github/acme*",
        "github/[ab]*/orchard",
        "bitbucket/acme/orchard",
        "circleci/3f0dcf1c/e5ff6d31",
        "*/acme/orchard",
        "*orchard",
        "git*",
        "[gb]it*/acme/*",
    ],
)
def test_a_pattern_that_may_match_a_project_is_fine(site, pattern):
    site.CIRCLECI_WEBHOOK_SECRETS = {"payments": {"secrets": [GOOD], "projects": [pattern]}}
    assert ids() == []


@pytest.mark.parametrize("projects", ["gh/acme/*", "acme/orchard", "orchard", "https://github.com/acme/*"])
def test_warns_of_default_branches_of_a_project_that_cannot_exist(site, projects):
    site.DEFAULT_BRANCHES = ["main", "github/acme/*:develop", f"{projects}:develop"]
    (message,) = run_checks()
    assert message.id == "logs.W010"
    assert repr(f"{projects}:develop") in message.msg
    assert "github/acme/legacy-*:develop (not gh/)" in message.hint


@pytest.mark.parametrize("entry", ["release/*", "*", "*:main", "*/legacy-*:develop", "bitbucket/acme/orchard:trunk"])
def test_default_branches_of_projects_that_may_exist_are_fine(site, entry):
    site.DEFAULT_BRANCHES = [entry]
    assert ids() == []


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ([], ["logs.W006"]),
        (["127.0.0.1"], []),
        (["10.0.0.0/8", "fc00::/7", "2400:cb00::/32"], []),
        (["0.0.0.0/0"], ["logs.W007"]),
        (["::/0"], ["logs.W007"]),
        (["127.0.0.1", "0.0.0.0/1", "128.0.0.0/1"], ["logs.W007", "logs.W007"]),
        (["2000::/3"], ["logs.W007"]),
        (["0.0.0.0"], ["logs.W007"]),
    ],
)
def test_warns_of_proxies_behind_which_clients_cannot_be_told_apart(site, networks, expected):
    site.SECURE_SSL_REDIRECT, site.ALLOWED_HOSTS = True, ["hooks.example.com"]
    site.SITE_URL = "https://hooks.example.com"
    site.TRUSTED_PROXIES = [ip_network(network) for network in networks]
    assert ids() == expected
    assert all("TRUSTED_PROXIES" in f"{message.msg} {message.hint}" for message in run_checks())


def test_warns_of_a_deployed_site_that_answers_to_its_own_machine_only(site):
    site.SECURE_SSL_REDIRECT, site.TRUSTED_PROXIES = True, [ip_network("127.0.0.1")]
    site.SITE_URL = "https://hooks.example.com"
    assert ids() == ["logs.W008"]
    site.ALLOWED_HOSTS = ["localhost", "hooks.example.com"]
    assert ids() == []


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("10.0.0.0/8", []),
        ("fc00::/7", []),
        ("0.0.0.0/0", ["logs.W011"]),
        ("128.0.0.0/7", ["logs.W011"]),
        ("2000::/3", ["logs.W011"]),
    ],
)
def test_warns_of_channels_that_may_reach_the_internet_over_http(site, network, expected):
    site.NOTIFICATION_ALLOWED_NETWORKS = [ip_network("192.168.0.0/16"), ip_network(network)]
    assert ids() == expected
    assert all(network in message.msg for message in run_checks())


@pytest.mark.parametrize(
    ("https", "url", "prefix", "expected"),
    [
        (True, "https://hooks.example.com", None, []),
        (True, "https://example.com/ci", "/ci", []),
        (False, "", None, []),
        (False, "", "/ci", []),
        (True, "", None, ["logs.W012"]),
        (True, "", "/ci", ["logs.W012"]),
        (True, "https://example.com", "/ci", ["logs.W013"]),
        (False, "http://localhost:8000/ci", None, ["logs.W013"]),
        (True, "https://example.com/ci/log", "/ci", ["logs.W013"]),
    ],
)
def test_warns_of_a_site_that_messages_cannot_link_to(site, https, url, prefix, expected):
    site.SECURE_SSL_REDIRECT, site.SITE_URL, site.FORCE_SCRIPT_NAME = https, url, prefix
    site.ALLOWED_HOSTS, site.TRUSTED_PROXIES = ["hooks.example.com"], [ip_network("127.0.0.1")]
    assert ids() == expected


@pytest.mark.parametrize("option", ["schema", "ssl", "mode"])
def test_an_option_that_the_database_does_not_accept_is_an_error(site, monkeypatch, option):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], option, "public")
    (message,) = run_checks()
    assert message.id == "logs.E006"
    assert message.msg.startswith("DATABASE_URL has an option")
    assert option in message.msg


def test_warns_of_a_folder_without_static_files(site, tmp_path):
    site.STATIC_ROOT = tmp_path
    assert ids() == ["logs.W009"]
    (tmp_path / "admin").mkdir()
    assert ids() == []
