"""The webhooks and default branches as configured."""

import pytest

from logs import conf


def test_reads_one_secret_several_or_none(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"My CircleCI Webhook": "ABCD1234", "payments": ["new", "old"], "lab": None}
    one, several, none = conf.webhooks()
    assert (one.name, one.slug, one.secrets, one.is_signed) == (
        "My CircleCI Webhook",
        "my-circleci-webhook",
        ("ABCD1234",),
        True,
    )
    assert several.secrets == ("new", "old")
    assert (none.secrets, none.is_signed) == ((), False)


def test_its_representation_shows_no_secret(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": {"secrets": ["hunter2"], "projects": ["github/acme/*"]}}
    assert "hunter2" not in repr(conf.webhooks())


def test_reads_the_setting_each_time(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"before": "x"}
    assert [webhook.name for webhook in conf.webhooks()] == ["before"]
    settings.CIRCLECI_WEBHOOK_SECRETS = {"after": "x"}
    assert [webhook.name for webhook in conf.webhooks()] == ["after"]


def test_a_fingerprint_identifies_a_secret_only_with_the_secret_key(settings):
    mine = conf.fingerprint("hunter2")
    assert len(mine) == conf.FINGERPRINT_LENGTH
    assert conf.fingerprint("hunter2") == mine != conf.fingerprint("hunter3")
    settings.SECRET_KEY = "another"
    assert conf.fingerprint("hunter2") != mine


def test_a_secret_has_the_position_it_has_in_its_webhooks_list(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": ["new", "old"], "lab": None}
    assert conf.secret_position("payments", conf.fingerprint("new")) == 0
    assert conf.secret_position("payments", conf.fingerprint("old")) == 1
    assert conf.secret_position("lab", conf.fingerprint("old")) is None
    assert conf.secret_position("payments", "") is None
    assert conf.secret_position("payments", None) is None


ORCHARD, LEGACY, OLD = "github/acme/orchard", "github/acme/legacy-shop", "bitbucket/acme/legacy-shop"


@pytest.mark.parametrize(
    ("entries", "slug", "branch", "expected"),
    [
        (["main", "master"], ORCHARD, "master", True),
        (["main", "master"], ORCHARD, "main2", False),
        (["main"], ORCHARD, "Main", False),
        ([], ORCHARD, "main", False),
        (["main"], ORCHARD, "", False),
        (["release/*"], ORCHARD, "release/2.0", True),
        (["release/*"], ORCHARD, "release/2/hotfix", True),
        (["release/*"], ORCHARD, "release", False),
        (["release/*"], ORCHARD, "prerelease/2", False),
        (["v?.x"], ORCHARD, "v2.x", True),
        (["v?.x"], ORCHARD, "v10.x", False),
        (["*"], ORCHARD, "anything", True),
        # An entry for the project replaces those for all projects.
        (["main", "github/acme/legacy-*:develop"], LEGACY, "develop", True),
        (["main", "github/acme/legacy-*:develop"], LEGACY, "main", False),
        (["github/acme/legacy-*:develop", "main"], LEGACY, "main", False),
        (["main", "github/acme/legacy-*:develop"], ORCHARD, "main", True),
        (["main", "github/acme/legacy-*:develop"], ORCHARD, "develop", False),
        (["main", "github/acme/legacy-*:develop"], OLD, "main", True),
        (["github/acme/legacy-*:develop"], ORCHARD, "main", False),
        # All entries for a project apply together.
        (["main", "github/acme/legacy-*:develop", "*/legacy-shop:release/*"], LEGACY, "develop", True),
        (["main", "github/acme/legacy-*:develop", "*/legacy-shop:release/*"], LEGACY, "release/2", True),
        (["main", "github/acme/legacy-*:develop", "*/legacy-shop:release/*"], OLD, "develop", False),
        (["main", "*/legacy-shop:release/*"], OLD, "main", False),
        (["main", "github/acme/legacy-shop:main", "github/acme/legacy-*:develop"], LEGACY, "main", True),
    ],
)
def test_a_default_branch_matches_an_entry_for_its_project_or_else_for_all(settings, entries, slug, branch, expected):
    settings.DEFAULT_BRANCHES = entries
    assert conf.is_default_branch(slug, branch) is expected
