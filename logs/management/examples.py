"""Commands whose ``--help`` ends with examples and the exit codes."""

from argparse import RawDescriptionHelpFormatter
from textwrap import fill, indent
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

WIDTH = 79


class CommandWithExamples(BaseCommand):
    """A command that tells how it is used and how it ends."""

    examples: ClassVar[str]  # A line each.
    notes: ClassVar[str] = ""  # What else one must know.
    exit_codes: ClassVar[str]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser of Django's, with all that below its help."""
        examples = f"examples:\n{indent(self.examples.strip(), '  ')}"
        epilog = "\n\n".join(filter(None, [examples, self.notes, f"exit codes: {self.exit_codes}"]))
        parser = super().create_parser(prog_name, subcommand, epilog=epilog, formatter_class=_Formatter, **kwargs)
        parser.description = fill(self.help, WIDTH)
        return parser


class _Formatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Leave the examples' lines as they are, and put what every command has last."""
