"""CircleCI's signature in the OpenAPI document. Schemes for readers are next to the classes that authenticate them."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from logs.api.schema.examples import SECRET, SIGNED_BODY
from logs.circleci.signature import sign
from logs.circleci.vocabulary import SIGNATURE_HEADER

SIGNATURE = f"""\
CircleCI signs each delivery with its webhook's secret token: `{SIGNATURE_HEADER}` holds `v1=` and the HMAC-SHA256 of
the raw body in lower-case hexadecimal digits. The header is a comma-separated list; entries of versions other than `v1`
are ignored. The signature covers the bytes as sent: parsing and serializing a body again changes its signature.

For example, the secret `{SECRET}` and the body

    {SIGNED_BODY.decode()}

without a trailing line feed give

    {SIGNATURE_HEADER}: {sign(SIGNED_BODY, SECRET)}

`printf %s "$BODY" | openssl dgst -sha256 -hmac {SECRET}` computes the same digest. A webhook that is configured without
a secret needs no signature, at its own URL only."""


class SignatureScheme(OpenApiAuthenticationExtension):
    """Describes CircleCI's signature."""

    target_class = "logs.api.receiving.CircleCISignatureAuthentication"
    name = "signature"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        return {"type": "apiKey", "in": "header", "name": SIGNATURE_HEADER, "description": SIGNATURE}
