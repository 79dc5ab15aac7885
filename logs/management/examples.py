"""Commands whose ``--help`` ends with examples."""

from argparse import RawDescriptionHelpFormatter
from textwrap import fill, indent
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

WIDTH = 79


class CommandWithExamples(BaseCommand):
    """A command with examples of its use, a line each, in `examples`, and what else one must know in `notes`."""

    examples: ClassVar[str]
    notes: ClassVar[str] = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser of Django's, with the examples below its help."""
        epilog = f"examples:\n{indent(self.examples.strip(), '  ')}\n\n{self.notes.strip()}".strip()
        parser = super().create_parser(prog_name, subcommand, epilog=epilog, formatter_class=_Formatter, **kwargs)
        parser.description = fill(self.help, WIDTH)
        return parser


class _Formatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Leave the examples' lines as they are, and put what every command has last."""
