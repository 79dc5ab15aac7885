"""Create an API token: ``manage.py create_token``."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone
from knox.settings import knox_settings

from logs.management.arguments import lifetime, one_of
from logs.management.examples import CommandWithExamples
from logs.models import ApiToken
from logs.permissions import SCOPES, may


class Command(CommandWithExamples):
    """Create a token and write only its key to stdout, so that the key can be piped."""

    help = "Create an API token with a user's permissions. The token is shown once. The admin lists and revokes tokens."
    examples = """
manage.py create_token grafana --scope events --name "dashboard on the wall"
manage.py create_token ops --expires 24h > token.txt
"""
    exit_codes = "0 when the token is created, 1 when it cannot be, 2 for invalid arguments"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the user, the name, the scopes and the lifetime."""
        parser.add_argument("user", metavar="USER", help="username")
        parser.add_argument("--name", help="what the token is for (default: script of <date>)")
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="append",
            type=one_of([*SCOPES]),
            choices=SCOPES,
            help="what the token may do; may be repeated (default: everything that the user may do)",
        )
        parser.add_argument(
            "--expires",
            type=lifetime,
            default=knox_settings.TOKEN_TTL,
            metavar="LIFETIME",
            help=f"30m, 24h, 90d or never (default: {knox_settings.TOKEN_TTL.days}d)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the token.

        Raises:
            CommandError: the user does not exist or is inactive, or the name is empty or too long.
        """
        user, name = _user(options["user"]), options["name"]
        name = f"script of {timezone.now():%Y-%m-%d}" if name is None else _valid_name(name)
        token, key = ApiToken.issue(user, name=name, lifetime=options["expires"], scopes=options["scopes"])
        self.stdout.write(key)
        self.stderr.write("\n".join(_facts(token)), style_func=str)


def _user(name: str) -> User:
    try:
        user = get_user_model().objects.get_by_natural_key(name)
    except get_user_model().DoesNotExist:
        raise CommandError(f"there is no user {name!r}") from None
    if not user.is_active:
        raise CommandError(f"the user {name!r} is inactive, so a token would not work: activate the user in the admin")
    return user


def _valid_name(text: str) -> str:
    try:
        return str(ApiToken._meta.get_field("name").clean(text.strip(), None))
    except ValidationError as error:
        raise CommandError(f"--name: {' '.join(error.messages)}") from None


def _facts(token: ApiToken) -> Iterator[str]:
    until = f"until {token.expiry:%Y-%m-%d %H:%M} UTC" if token.expiry else "forever"
    yield f'"{token.name}" acts as {token.user} {until}. The token is not shown again. Send it as'
    yield "  Authorization: Bearer TOKEN"
    for permission in SCOPES.values():
        is_allowed = token.allows(permission) and may(token.user, permission)
        yield f"  {'may    ' if is_allowed else 'may not'}  {permission}"
