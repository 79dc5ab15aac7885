"""Translate between ASGI, which the server speaks, and Django's WSGI requests and responses."""

import io
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from django.http import HttpResponse

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Environ = dict[str, Any]


class _CutInput(io.BytesIO):
    """The input of a chunked request that was cut off: its end raises an error, because it has no length to compare."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        if size is None or not 0 <= size <= len(content):
            raise ConnectionError("the last chunk is missing")
        return content


def environ_of(scope: Scope, content: bytes, *, is_complete: bool, prefix: str) -> Environ:
    """Return a request's WSGI environment (PEP 3333).

    Args:
        scope: the request (ASGI 3.0).
        content: its body, as far as it has arrived.
        is_complete: whether this is the whole body.
        prefix: SCRIPT_NAME, the path below which the site is served; "" for the root. Requests may omit it: probes do
            not send it, and a proxy may remove it.
    """
    raw_path = _without_origin(scope["raw_path"])
    path = (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1")
    if f"{path}/".startswith(f"{prefix}/"):
        path = path.removeprefix(prefix) or "/"
    client, server = scope["client"] or ("", ""), scope["server"] or ("", "")
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": prefix,
        "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(content),
    }
    for name, value in scope["headers"]:
        key = _environ_key(name)
        text = value.decode("latin-1")
        if key in environ:
            separator = "; " if key == "HTTP_COOKIE" else ","
            text = f"{environ[key]}{separator}{text}"
        environ[key] = text
    if "CONTENT_LENGTH" not in environ:  # Its body came in chunks, or it has none.
        environ["wsgi.input_terminated"] = True
        if not is_complete:
            environ["wsgi.input"] = _CutInput(content)
    return environ


def _without_origin(target: bytes) -> bytes:
    """Return the path of a request's target, which may be a whole URL (RFC 9112, 3.2.2)."""
    if target.startswith(b"/") or b"://" not in target:
        return target
    return b"/" + target.split(b"://", 1)[1].partition(b"/")[2]


@lru_cache(maxsize=200)
def _environ_key(header: bytes) -> str:
    key = header.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


async def send_response(response: HttpResponse, send: Send, *, without_body: bool = False) -> None:
    """Send a response that is not a stream; for HEAD, without its body."""
    content = response.content
    headers = encode_headers(response.items())
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else content})


def encode_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI sends them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
