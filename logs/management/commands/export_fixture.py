"""Write a delivery as files for tests: ``manage.py export_fixture``."""

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
        "Write a delivery as delivery-<ID>.json, which is its body byte for byte, and delivery-<ID>.headers.json. "
        "send_test_webhook --fixture signs and sends them."
    )
    examples = EXAMPLES
    exit_codes = "0 when the files are written, 1 when they cannot be, 2 for wrong arguments"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the delivery and the options."""
        parser.add_argument("id", type=positive_integer, metavar="ID", help="the delivery's number")
        parser.add_argument(
            "--anonymise",
            action="store_true",
            help="change names, e-mail addresses, texts, addresses and ids; branches, tags and the names of workflows "
            "and jobs stay",
        )
        parser.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="default: the current directory")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the files and tell their names.

        Raises:
            CommandError: there is no such delivery, its body is not whole, or no payload to anonymise, or the files
                cannot be written.
        """
        delivery = Delivery.objects.filter(pk=options["id"]).first()
        if delivery is None:
            raise CommandError(f"there is no delivery {options['id']}; retention may have removed it")
        if not delivery.is_whole:
            raise CommandError(f"of delivery {delivery.pk} only the beginning of the body is kept")
        body = bytes(delivery.body)
        if options["anonymise"]:
            body = _anonymised(body)
        for path in fixtures.write(options["to"], f"delivery-{delivery.pk}", body, delivery.headers):
            self.stdout.write(str(path))


def _anonymised(body: bytes) -> bytes:
    try:
        return anonymised(body, f"anonymising {settings.SECRET_KEY}")
    except PayloadMalformed as error:
        raise CommandError(f"only a payload can be anonymised, and the body is {error}") from error
