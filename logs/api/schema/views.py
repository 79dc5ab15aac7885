"""Endpoints for the OpenAPI document and its page. These endpoints reveal no secrets and need no permission."""

from functools import cache
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from logs.api.negotiation import FormatOrAccept
from logs.api.throttling import ThrottledView


class SchemaView(ThrottledView):
    """Returns the OpenAPI document in JSON or YAML."""

    schema = None  # The document does not describe itself.
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    content_negotiation_class = FormatOrAccept
    renderer_classes = [OpenApiJsonRenderer2, OpenApiYamlRenderer2]

    def get(self, request: Request) -> Response:
        """Return the document."""
        return Response(_description())


# Swagger UI's style sheet contains its icons as data URLs.
@method_decorator(csp_update({"img-src": [SELF, "data:"]}), name="dispatch")
class DocsView(SpectacularSwaggerSplitView):
    """Shows the document as a page where requests can be tried out."""

    url_name = "logs:schema"


@cache
def _description() -> Any:
    return SchemaGenerator().get_schema(public=True)
