"""Write a delivery to files for use in tests: ``manage.py export_fixture``."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from logs.circleci.anonymising import anonymised
from logs.exceptions import PayloadMalformed
from logs.management.arguments import positive_integer
from logs.management.examples import CommandWithExamples
from logs.management.workbench import fixtures
from logs.models import Delivery

EXAMPLES = """
manage.py export_fixture 12
manage.py export_fixture 12 --anonymise --to tests/fixtures
manage.py send_test_webhook --fixture tests/fixtures/delivery-12.json
"""


class Command(CommandWithExamples):
    """Write one delivery's body and headers."""

    help = (
        "Write a delivery's body, byte for byte, to delivery-<ID>.json, and its headers to delivery-<ID>.headers.json. "
        "send_test_webhook --fixture signs and sends these files."
    )
    examples = EXAMPLES
    exit_codes = "0 when the files are written, 1 when they cannot be, 2 for invalid arguments"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the delivery and the options."""
        parser.add_argument("id", type=positive_integer, metavar="ID", help="the delivery's number")
        parser.add_argument(
            "--anonymise",
            action="store_true",
            help="replace names, e-mail addresses, texts, URLs and ids; keep branches, tags and the names of workflows "
            "and jobs",
        )
        parser.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="default: the current directory")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the files and print their paths.

        Raises:
            CommandError: the delivery does not exist, its body is incomplete or cannot be anonymised, or a file cannot
                be written.
        """
        delivery = Delivery.objects.filter(pk=options["id"]).first()
        if delivery is None:
            raise CommandError(f"there is no delivery {options['id']}; retention may have removed it")
        if not delivery.is_whole:
            raise CommandError(f"the stored body of delivery {delivery.pk} is incomplete")
        body = bytes(delivery.body)
        if options["anonymise"]:
            body = _anonymised(body)
        for path in fixtures.write(options["to"], f"delivery-{delivery.pk}", body, delivery.headers):
            self.stdout.write(str(path))


def _anonymised(body: bytes) -> bytes:
    try:
        return anonymised(body, f"anonymising {settings.SECRET_KEY}")
    except PayloadMalformed as error:
        raise CommandError(f"only a payload can be anonymised; the body is {error}") from error
