"""How a request proves who sends it."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from logs.api.schema.examples import SECRET, SIGNED_BODY
from logs.circleci.signature import sign
from logs.circleci.vocabulary import SIGNATURE_HEADER

SIGNATURE = f"""\
CircleCI signs each delivery with the secret token of its webhook: `{SIGNATURE_HEADER}` holds `v1=` and the HMAC-SHA256
of the raw body under the secret, in lower-case hexadecimal digits. The header is a list with commas between its
entries; those of other versions than `v1` are left out of account. The bytes are signed as they travel: a body that
was read and written anew has another signature.

For example, the secret `{SECRET}` and the body

    {SIGNED_BODY.decode()}

without a line feed at its end, make

    {SIGNATURE_HEADER}: {sign(SIGNED_BODY, SECRET)}

which `printf %s "$BODY" | openssl dgst -sha256 -hmac {SECRET}` computes too. A webhook that is configured without a
secret needs no signature, at its own address only."""


class TokenScheme(OpenApiAuthenticationExtension):
    """A token of `manage.py create_token`."""

    target_class = "logs.api.tokens.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        description = (
            "A token for programs, from the admin or from `manage.py create_token`; it has its user's permissions."
        )
        return {"type": "http", "scheme": "bearer", "description": description}


class PasswordScheme(OpenApiAuthenticationExtension):
    """HTTP Basic."""

    target_class = "logs.api.passwords.CountedBasicAuthentication"
    name = "password"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        description = "A user's name and password. Ten wrong ones lock the client's address for 15 minutes."
        return {"type": "http", "scheme": "basic", "description": description}


class SessionScheme(OpenApiAuthenticationExtension):
    """The session of the admin."""

    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        description = "The session of a browser that is signed in to the admin. A POST needs `X-CSRFToken` beside it."
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": description}


class SignatureScheme(OpenApiAuthenticationExtension):
    """CircleCI's signature."""

    target_class = "logs.api.authentication.CircleCISignatureAuthentication"
    name = "signature"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        return {"type": "apiKey", "in": "header", "name": SIGNATURE_HEADER, "description": SIGNATURE}
