"""After SECRET_KEY was changed, one command makes the earlier value unnecessary."""

import io

import pytest
from django.core.management import CommandError, call_command

from logs.models import Channel
from logs.notifications.sealing import UnreadableSecret, seal, unseal

pytestmark = pytest.mark.django_db

NEW_KEY = "a-new-key"


def add_channel(name):
    return Channel.objects.create(name=name, kind="slack", sealed=seal({"url": f"https://hooks.example/{name}"}))


def change_key(settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [settings.SECRET_KEY]


def reseal_channels(*arguments):
    output = io.StringIO()
    call_command("reseal_channels", *arguments, stdout=output)
    return output.getvalue()


def secrets():
    return {channel.name: unseal(channel.sealed) for channel in Channel.objects.all()}


def test_the_earlier_key_can_go(settings):
    for name in ("ops", "chat"):
        add_channel(name)
    Channel.objects.create(name="without secrets", kind="slack")
    before = secrets()
    change_key(settings)
    assert reseal_channels() == "The secrets of 2 channels are encrypted with SECRET_KEY.\n"
    settings.SECRET_KEY_FALLBACKS = []
    assert secrets() == before


def test_a_dry_run_writes_nothing(settings):
    add_channel("ops")
    change_key(settings)
    before = Channel.objects.get().sealed
    told = "The secrets of 1 channel can be read. Nothing was written: this was a dry run.\n"
    assert reseal_channels("--dry-run") == told
    assert Channel.objects.get().sealed == before


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_names_the_channels_that_cannot_be_read_and_does_the_others(settings, arguments):
    for name in ("lost", "lost too"):
        add_channel(name)
    settings.SECRET_KEY = "a-key-in-between"
    kept = add_channel("ops")
    change_key(settings)
    with pytest.raises(CommandError, match="can read the secrets of lost, lost too: add") as caught:
        reseal_channels(*arguments)
    assert caught.value.returncode == 1
    assert "hooks.example" not in str(caught.value)
    settings.SECRET_KEY_FALLBACKS = []
    kept.refresh_from_db()
    if arguments:
        with pytest.raises(UnreadableSecret):
            unseal(kept.sealed)
    else:
        assert unseal(kept.sealed) == {"url": "https://hooks.example/ops"}


def test_a_secret_that_is_entered_meanwhile_is_kept(settings, monkeypatch):
    channel = add_channel("ops")
    entered = seal({"url": "https://hooks.example/new"})

    def reseal(token):
        Channel.objects.filter(pk=channel.pk).update(sealed=entered)
        return token

    monkeypatch.setattr("logs.management.commands.reseal_channels.reseal", reseal)
    reseal_channels()
    assert Channel.objects.get().sealed == entered
