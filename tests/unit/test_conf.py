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
