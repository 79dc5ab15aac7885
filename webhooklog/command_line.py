"""Run a management command: expected errors end it without a traceback, and few commands show warnings."""

import os
import sys
from collections.abc import Sequence
from io import StringIO
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand, OutputWrapper
from django.db import InterfaceError, OperationalError

EXIT_CODE_OF_CTRL_C = 130
# The commands that show the warnings of system checks. Errors stop all commands that run the checks.
SHOWS_WARNINGS = {"check", "migrate", "runserver"}


def run(arguments: Sequence[str]) -> None:
    """Run the command; if its output is no longer read, or on Ctrl-C, exit without a traceback.

    Args:
        arguments: the name of the program, of the command, and the command's arguments.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooklog.settings")
    try:
        try:
            _Commands([*arguments]).execute()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has exited, as `| head` does. Python would flush again on exit, and print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except (InterfaceError, OperationalError) as error:
        if "--traceback" in arguments:
            raise
        sys.exit(f"The database of DATABASE_URL (default: SQLite in DATA_DIR) failed: {error}")
    except KeyboardInterrupt:
        sys.exit(EXIT_CODE_OF_CTRL_C)


class _Commands(ManagementUtility):
    """Finds Django's commands and webhooklog's."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Return a command."""
        command = super().fetch_command(subcommand)
        if subcommand not in SHOWS_WARNINGS:
            _hide_warnings(command)
        return command


def _hide_warnings(command: BaseCommand) -> None:
    check = command.check

    def check_for_errors(*args: Any, **kwargs: Any) -> None:
        shown, command.stderr = command.stderr, OutputWrapper(StringIO())
        try:
            check(*args, **kwargs)  # Writes warnings, but raises errors.
        finally:
            command.stderr = shown

    command.check = check_for_errors  # type: ignore[method-assign]  # The class of a command is not known in advance.
