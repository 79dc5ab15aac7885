"""Select a response's format."""

from collections.abc import Iterable, Sequence
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from logs.exceptions import InvalidQuery


class FirstRenderer(BaseContentNegotiation):
    """Responds in the view's first format, whatever the client accepts; a webhook must not fail because of Accept."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return the view's first parser."""
        return next(iter(parsers), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the view's first renderer."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class FormatOrAccept(DefaultContentNegotiation):
    """Responds in the format given by ``?format=``, otherwise in a format that the client accepts."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """Return the renderer and its media type.

        Raises:
            InvalidQuery: the format is unknown.
            NotAcceptable: the client accepts none of the formats.
        """
        name = request.query_params.get("format")
        return _named(name, renderers) if name else super().select_renderer(request, renderers, format_suffix)


def _named(name: str, renderers: Sequence[BaseRenderer]) -> tuple[BaseRenderer, str]:
    for renderer in renderers:
        if renderer.format == name:
            return renderer, renderer.media_type
    names = ", ".join(renderer.format for renderer in renderers)
    raise InvalidQuery(f"format must be one of: {names}.", "invalid_format")
