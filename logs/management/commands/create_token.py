"""Create an API token: ``manage.py create_token``."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from knox.settings import knox_settings

from logs import permissions
from logs.management.arguments import lifetime
from logs.management.examples import CommandWithExamples
from logs.models import ApiToken


class Command(CommandWithExamples):
    """Create a token and write only its key to stdout, so that the key can be piped."""

    help = "Create an API token with a user's permissions. The token is shown once. The admin lists and revokes tokens."
    examples = """
manage.py create_token grafana --name "dashboard on the wall"
manage.py create_token ops --name laptop --expires 24h > token.txt
"""
    exit_codes = "0 when the token is created, 1 when it cannot be, 2 for invalid arguments"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the user, the name and the lifetime."""
        parser.add_argument("user", metavar="USER", help="username")
        parser.add_argument("--name", required=True, help="what the token is for")
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
        user, name = _user(options["user"]), _name(options["name"])
        token, key = ApiToken.issue(user, name=name, lifetime=options["expires"])
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


def _name(text: str) -> str:
    try:
        return str(ApiToken._meta.get_field("name").clean(text.strip(), None))
    except ValidationError as error:
        raise CommandError(f"--name: {' '.join(error.messages)}") from None


def _facts(token: ApiToken) -> Iterator[str]:
    until = f"until {token.expiry:%Y-%m-%d %H:%M} UTC" if token.expiry else "forever"
    yield f'"{token.name}" acts as {token.user} {until}. The token is not shown again. Send it as'
    yield "  Authorization: Bearer TOKEN"
    for permission in permissions.ALL:
        yield f"  {'may    ' if token.user.has_perm(permission) else 'may not'}  {permission}"
