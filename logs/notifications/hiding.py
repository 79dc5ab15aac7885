"""Hide the secrets of a channel in text from a vendor: many servers repeat the URL's path in their errors."""

import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

HIDDEN = "…"
MIN_LENGTH = 6  # Shorter parts are not secret, and hiding them would hide ordinary words.
MIN_SEGMENT_LENGTH = 8  # The same, for a part between two slashes.
MIN_WORD_LENGTH = 16  # The same, if it has only letters and hyphens: "workflows" is not a secret.
AFTER_HOST = re.compile(r"https?://[^/?]*(.*)", re.DOTALL)
SEPARATORS = re.compile(r"[/?&=#]")
WORD = re.compile("[A-Za-z-]+")
PERCENT_ENCODED = re.compile("%[0-9A-F]{2}")


def hidden_parts(secrets: Iterable[str]) -> list[str]:
    """Return the parts of secrets that must not be shown, in each form, the longest first."""
    parts = set()
    for secret in (each for text in secrets for each in text.split()):  # A field may hold two secrets.
        parts.add(secret)
        if match := AFTER_HOST.fullmatch(secret):
            path = match[1]
            parts |= {path, path.partition("?")[0]}
            parts |= {segment for segment in SEPARATORS.split(path) if _is_secret(segment)}
    forms = {form for part in parts if len(part) >= MIN_LENGTH for form in forms_of(part)}
    return sorted((form for form in forms if len(form) >= MIN_LENGTH), key=len, reverse=True)


def forms_of(secret: str) -> set[str]:
    """Return the forms a secret can take in text: as is, decoded, and as in a repr(), JSON, HTML, a URL or bytes."""
    forms = {secret, repr(secret)[1:-1], repr(secret.encode())[2:-1]}
    for text in (secret, unquote(secret)):
        in_html, in_json = html.escape(text), json.dumps(text)[1:-1]
        # PHP escapes slashes in JSON, and many servers write an apostrophe in decimal, or do not escape it.
        forms |= {
            text,
            html.escape(text, quote=False),
            in_html,
            in_html.replace("&#x27;", "&#39;"),
            in_json,
            in_json.replace("/", r"\/"),
        }
        forms |= {quote(text), quote(text, safe="")}
    return forms | {PERCENT_ENCODED.sub(lambda match: match[0].lower(), form) for form in forms}


def _is_secret(segment: str) -> bool:
    return len(segment) >= (MIN_WORD_LENGTH if WORD.fullmatch(segment) else MIN_SEGMENT_LENGTH)


def without(parts: Iterable[str], text: str) -> str:
    """Return text with each part replaced by an ellipsis."""
    for part in parts:
        text = text.replace(part, HIDDEN)
    return text
