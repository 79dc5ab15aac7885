"""Make names safe for XML."""

import re

# XML 1.0 allows no other control characters, surrogates or noncharacters, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """Return a text with the characters that XML does not allow replaced."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
