"""Encrypt the secrets of channels with the current SECRET_KEY: ``manage.py reseal_channels``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from logs.management.examples import CommandWithExamples
from logs.management.terminal import printable
from logs.models import Channel
from logs.notifications.sealing import UnreadableSecret, reseal


class Command(CommandWithExamples):
    """Replace each channel's token; a channel that is changed meanwhile keeps its new one."""

    help = (
        "Encrypt the secrets of all notification channels with SECRET_KEY, after it was changed and the earlier value "
        "was added to SECRET_KEY_FALLBACKS. Afterwards the earlier value can be removed, which ends the sessions that "
        "it signed."
    )
    examples = """
manage.py reseal_channels --dry-run
manage.py reseal_channels
"""
    exit_codes = "0 when all secrets are encrypted with SECRET_KEY, 1 when one cannot be read, 2 for invalid arguments"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option."""
        parser.add_argument("--dry-run", action="store_true", help="show which secrets can be read; write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Encrypt the secrets and report how many.

        Raises:
            CommandError: neither SECRET_KEY nor SECRET_KEY_FALLBACKS can read the secret of a channel.
        """
        unreadable, resealed = [], 0
        for channel in Channel.objects.exclude(sealed="").order_by("name"):
            try:
                token = reseal(channel.sealed)
            except UnreadableSecret:
                unreadable.append(printable(channel.name))
                continue
            resealed += 1
            if not options["dry_run"]:
                Channel.objects.filter(pk=channel.pk, sealed=channel.sealed).update(sealed=token)
        channels = "1 channel" if resealed == 1 else f"{resealed} channels"
        if options["dry_run"]:
            self.stdout.write(f"The secrets of {channels} can be read. Nothing was written: this was a dry run.")
        else:
            self.stdout.write(f"The secrets of {channels} are encrypted with SECRET_KEY.")
        if unreadable:
            raise CommandError(
                f"neither SECRET_KEY nor SECRET_KEY_FALLBACKS can read the secrets of {', '.join(unreadable)}: add the "
                "earlier value of SECRET_KEY to SECRET_KEY_FALLBACKS, or enter these secrets again"
            )
