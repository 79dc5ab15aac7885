"""Show how the settings differ from Django's defaults, without secrets."""

from typing import Any

from django.conf import settings
from django.core.management.commands import diffsettings

from logs.http.debug_page import SecretsFilter
from logs.management.examples import CommandWithExamples


class Command(CommandWithExamples, diffsettings.Command):
    """Django's command, but without secrets, because the output often ends up in bug reports."""

    help = "Show how the settings differ from Django's defaults, without secrets."
    examples = """
manage.py diffsettings
manage.py diffsettings --output unified
"""
    exit_codes = "0 when the settings are shown, 1 when they cannot be read"

    def handle(self, **options: Any) -> str:
        """Return the output, with the same settings masked as on error pages."""
        output: str = super().handle(**options)
        for name, value in SecretsFilter().get_safe_settings().items():
            output = output.replace(f"{name} = {getattr(settings, name)!r}", f"{name} = {value!r}")
        return output
