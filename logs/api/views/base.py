"""The base class for readers' endpoints: permissions, parameters, formats, caching."""

from collections.abc import Iterator
from hashlib import md5
from typing import Any, ClassVar

from django.http import HttpResponseRedirect, StreamingHttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page
from rest_framework.generics import ListAPIView
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from logs.api.file_names import name_after_filters
from logs.api.filtering import StrictFilterBackend
from logs.api.flat import FlatSerializer
from logs.api.framing import require_visible_end
from logs.api.negotiation import FormatOrAccept
from logs.api.origins import OwnOriginView
from logs.api.pagination import KeysetPagination, all_rows
from logs.api.permissions import HasPermissions
from logs.api.renderers import CSVRenderer, JSONLinesRenderer, LinesRenderer
from logs.api.throttling import ThrottledView
from logs.exceptions import InvalidQuery
from logs.reading.fields import parse_truth
from logs.reading.filters import PagedFilterSet
from logs.reading.pages import Order
from logs.reading.query import check_names


@method_decorator([gzip_page, conditional_page], name="dispatch")
class _ConditionalView(APIView):
    """Compresses responses, and returns 304 if the client already has the current response."""


class ReadingView(ThrottledView, OwnOriginView, _ConditionalView):
    """An endpoint for users who have the endpoint's ``required_permissions``."""

    permission_classes = [HasPermissions]
    required_permissions: ClassVar[list[str]]
    content_negotiation_class: Any = FormatOrAccept
    renderer_classes: Any = [JSONRenderer, BrowsableAPIRenderer]
    metadata_class = None  # OPTIONS would describe forms that do not exist.

    @property
    def parameters(self) -> list[str]:
        """The names of the query parameters."""
        return ["format"]

    @property
    def repeatable(self) -> set[str]:
        """The names of the parameters that may be repeated."""
        filterset_class: type[PagedFilterSet] | None = getattr(self, "filterset_class", None)
        return filterset_class.repeatable() if filterset_class else set()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Reject parameters that would otherwise be ignored.

        Raises:
            InvalidQuery: a parameter is unknown, empty, or repeated although it does not take a list.
        """
        super().initial(request, *args, **kwargs)
        check_names(request.query_params, known=self.parameters, repeatable=self.repeatable)
        # The form of the browsable API sends all its fields.
        if isinstance(request.accepted_renderer, BrowsableAPIRenderer):
            return
        for name, values in request.query_params.lists():
            if not all(values):
                raise InvalidQuery(f"{name} is empty; leave it out, or give a value.")

    def handle_exception(self, exc: Exception) -> Response:
        """Return errors as JSON, except to browsers: the other formats cannot represent an error."""
        response = super().handle_exception(exc)
        if not isinstance(getattr(self.request, "accepted_renderer", None), BrowsableAPIRenderer):
            self.request.accepted_renderer = JSONRenderer()
            self.request.accepted_media_type = JSONRenderer.media_type
        return response

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Forbid shared caches: another user may have different permissions."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Cache-Control"] = "private, no-cache"
        if isinstance(response, Response) and response.status_code == 200:
            response.add_post_render_callback(_name_by_content)
        patch_vary_headers(response, ["Accept", "Authorization", "Cookie"])
        return response


def truth(request: Request, name: str) -> bool:
    """Return the value of a boolean parameter; False if it is missing.

    Raises:
        InvalidQuery: the value is neither true nor false.
    """
    try:
        return parse_truth(request.query_params.get(name, "false"))
    except ValueError as error:
        raise InvalidQuery(f"{name}: {error}") from error


def _name_by_content(response: Response) -> None:
    """Set an ETag computed from the body and the links: new rows can change a page's links but not its content."""
    tagged = response.content + response.headers.get("Link", "").encode()
    response.headers["ETag"] = f'"{md5(tagged, usedforsecurity=False).hexdigest()}"'


class PagedListView(ReadingView, ListAPIView[Any]):
    """A paginated list; without ``limit``, CSV and JSON lines contain all rows from the cursor on."""

    renderer_classes = [JSONRenderer, CSVRenderer, JSONLinesRenderer, BrowsableAPIRenderer]
    filter_backends = [StrictFilterBackend]
    pagination_class = KeysetPagination
    orders: ClassVar[dict[str, Order]]
    filterset_class: type[PagedFilterSet]
    filterset: PagedFilterSet  # Set by the filter backend.
    serializer_class: type[FlatSerializer]
    export_name: ClassVar[str]

    @property
    def parameters(self) -> "list[str]":
        """The names of the query parameters."""
        return [*self.filterset_class.base_filters, "bom", "cursor", "format", "limit", "ordering"]

    @property
    def columns(self) -> "list[str]":
        """The names of an object's fields, in order."""
        return list(self.serializer_class.Meta.fields)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """Return a page, or a stream of all rows."""
        renderer = request.accepted_renderer
        if not all(all(values) for _, values in request.query_params.lists()):
            # Otherwise, the page's links would keep the form's empty fields, which other formats reject.
            given = {name: list(filter(None, values)) for name, values in request.query_params.lists()}
            return HttpResponseRedirect(f"?{urlencode(given, doseq=True)}")
        has_bom = truth(request, "bom")
        if isinstance(renderer, CSVRenderer):
            renderer.has_bom = has_bom
        if isinstance(renderer, LinesRenderer) and "limit" not in request.query_params:
            return self._stream(request, renderer)
        page = super().list(request, *args, **kwargs)
        if isinstance(renderer, LinesRenderer):
            # REST framework omits the content type if the body is empty.
            content_type = f"{renderer.media_type}; charset={renderer.charset}"
            page.add_post_render_callback(lambda page: page.headers.setdefault("Content-Type", content_type))
        return page

    def _stream(self, request: Request, renderer: LinesRenderer) -> StreamingHttpResponse:
        require_visible_end(request)
        self.filter_queryset(self.get_queryset())
        rows = all_rows(self)
        flatten = self.get_serializer().to_representation
        lines = renderer.lines(map(flatten, rows), self.columns)
        name = f"{name_after_filters(self.export_name, self.filterset.given)}.{renderer.format}"
        return StreamingHttpResponse(
            # For HEAD, the server would read all rows and discard them.
            _in_chunks(iter(()) if request.method == "HEAD" else lines),
            content_type=f"{renderer.media_type}; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _in_chunks(lines: Iterator[str], size: int = 500) -> Iterator[bytes]:
    """Join lines so that each write to the connection carries many lines."""
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == size:
            yield "".join(chunk).encode()
            chunk.clear()
    yield "".join(chunk).encode()
