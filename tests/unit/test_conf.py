"""The webhooks as configured."""

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
