"""Commands whose ``--help`` ends with examples and exit codes, and which report a wrong argument in two lines."""

from argparse import RawDescriptionHelpFormatter
from functools import partial
from textwrap import fill, indent
from typing import Any, ClassVar, NoReturn

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

WIDTH = 79
EXIT_CODE_OF_WRONG_ARGUMENT = 2


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
        if parser.called_from_command_line:
            parser.error = partial(_exit, parser)  # type: ignore[method-assign]  # Django selects the class.
        return parser


def _exit(parser: CommandParser, message: str) -> NoReturn:
    """Report a wrong argument and how to get help, instead of the whole usage."""
    parser.exit(EXIT_CODE_OF_WRONG_ARGUMENT, f"{parser.prog}: {message}\nRun {parser.prog} --help for all options.\n")


class _Formatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keep the line breaks in examples, and put the options that all commands share at the end."""
