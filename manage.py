#!/usr/bin/env python
"""Run Django's management commands with this project's settings."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import InterfaceError, OperationalError

EXIT_CODE_OF_CTRL_C = 130


def main() -> None:
    """Run the command; if its output is no longer read, or on Ctrl-C, exit without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooklog.settings")
    try:
        try:
            execute_from_command_line(sys.argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has exited, as `| head` does. Python would flush again on exit, and print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except (InterfaceError, OperationalError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The database of DATABASE_URL (default: SQLite in DATA_DIR) failed: {error}")
    except KeyboardInterrupt:
        sys.exit(EXIT_CODE_OF_CTRL_C)


if __name__ == "__main__":
    main()
