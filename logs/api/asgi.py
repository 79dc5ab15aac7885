"""Serve requests from the event loop: webhooks on the loop itself, everything else as WSGI code in threads."""

import logging
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import JsonResponse

from logs.api.errors import RETRY_AFTER_SECONDS
from logs.api.receiving import respond_to_webhook
from logs.api.urls import receiving
from logs.http.asgi import Receive, Scope, Send, environ_of, send_response
from logs.http.bodies import Body, BodyReader
from logs.http.readers import ClientGone, WSGIInThreads

MAX_LOGGED_LENGTH = 100

logger = logging.getLogger(__name__)


class Application:
    """An ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html, read 2026-11-29)."""

    def __init__(self, wsgi: WSGIHandler) -> None:
        self._wsgi = wsgi
        self._readers = WSGIInThreads(wsgi, threads=settings.WEB_THREADS)
        self._bodies = BodyReader()
        self._prefix = settings.FORCE_SCRIPT_NAME or ""
        # Reading stops beyond the larger limit, so that Django can check its own limit and return 400.
        self._max_body_bytes = max(settings.MAX_BODY_BYTES, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request."""
        if scope["type"] == "lifespan":
            await _acknowledge_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await self._respond_to_request(scope, receive, send)

    async def _respond_to_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._bodies.read(receive, self._max_body_bytes)
        except TimeoutError:
            detail = {"detail": "Too many large requests arrive at the same time. Send it again later.", "code": "busy"}
            response = JsonResponse(detail, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
            await send_response(response, send)
            return
        try:
            await self._respond(scope, body, receive, send)
        except ClientGone:
            logger.info("a client left during its response to %s", scope["path"][:MAX_LOGGED_LENGTH])
        finally:
            self._bodies.release(body)

    async def _respond(self, scope: Scope, body: Body, receive: Receive, send: Send) -> None:
        environ = environ_of(scope, body.content, is_complete=body.is_complete, prefix=self._prefix)
        arguments = _webhook_arguments(environ["PATH_INFO"])
        if arguments is not None:
            request = self._wsgi.request_class(environ)
            response = await respond_to_webhook(request, is_large=body.is_large, **arguments)
            await send_response(response, send, without_body=scope["method"] == "HEAD")
        elif body.is_complete or len(body.content) > self._max_body_bytes:  # Django rejects it by its length.
            # Without a length, Django would read nothing of a body that came in chunks.
            environ.setdefault("CONTENT_LENGTH", str(len(body.content) + (not body.is_complete)))
            await self._readers.respond(environ, receive, send)
        else:
            detail = {"detail": "The request's body is incomplete.", "code": "body_unreadable"}
            await send_response(JsonResponse(detail, status=400), send)


def _webhook_arguments(path: str) -> dict[str, Any] | None:
    """Return the arguments in a receiving URL; None for any other URL."""
    for url in receiving:
        if match := url.pattern.match(path[1:]):
            return match[2]
    return None


async def _acknowledge_lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
