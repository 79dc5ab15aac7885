"""Commands whose ``--help`` ends with examples and exit codes."""

from argparse import RawDescriptionHelpFormatter
from textwrap import fill, indent
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

WIDTH = 79


class CommandWithExamples(BaseCommand):
    """A command whose help shows examples, notes and exit codes."""

    examples: ClassVar[str]  # One per line.
    notes: ClassVar[str] = ""
    exit_codes: ClassVar[str]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return Django's parser with the examples, notes and exit codes at the end of its help."""
        examples = f"examples:\n{indent(self.examples.strip(), '  ')}"
        epilog = "\n\n".join(filter(None, [examples, self.notes, f"exit codes: {self.exit_codes}"]))
        parser = super().create_parser(prog_name, subcommand, epilog=epilog, formatter_class=_Formatter, **kwargs)
        parser.description = fill(self.help, WIDTH)
        return parser


class _Formatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keep the line breaks in examples, and put the options that all commands share at the end."""
