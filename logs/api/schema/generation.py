"""Generate the OpenAPI document: drf-spectacular calls each view's schema, then the hooks."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry

from logs.api.schema import answers, parameters, security  # noqa: F401 - drf-spectacular finds extensions by import
from logs.api.schema.answers import reference
from logs.api.schema.operations import OPERATIONS, Operation
from logs.api.views.base import PagedListView, ReadingView

INTRODUCTION = """\
webhooklog receives CircleCI's webhooks, verifies them, logs each event exactly once, and lets programs read the log.

An error is an object with `detail`, a message for people, and `code`, a word for programs. A method that a path does
not support returns 405 with `Allow`. No parameter is ignored: an unknown, empty or wrongly repeated one is an
error. Separate a list's values by commas, or repeat the parameter. Times are ISO 8601 in UTC; missing values are null.
Responses are compressed for clients that accept gzip. If `If-None-Match` holds the current `ETag`, the response is 304.
In a browser that is signed in to the admin, the reading endpoints are pages with a form for the filters.

`GET /healthz` returns 200 while the process is up, `GET /readyz` while it can log events; both accept any host name."""

TAGS = [
    {"name": "receiving", "description": "For CircleCI."},
    {"name": "events", "description": "One event per workflow or job that ended."},
    {"name": "deliveries", "description": "One delivery per request that arrived, from CircleCI or any other client."},
    {"name": "standings", "description": "Which workflows are broken on which branch, and since when."},
    {"name": "insights", "description": "Figures of workflows and jobs, as CircleCI's Insights defines them."},
]


# A workflow that the log does not have is not found.
WITH_WORKFLOW = ("/api/insights/jobs", "/api/insights/timeseries")


class OperationSchema(AutoSchema):
    """Describes a view from its entry in the table of operations."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        """Return the operation; None if the view is excluded."""
        self.path, self.method, self.registry = path, method, registry
        if self.is_excluded():
            return None
        operation = OPERATIONS[path]
        return {
            "operationId": operation.id,
            "summary": operation.summary,
            "description": operation.details + _permissions(self.view),
            "tags": [operation.tag],
            "parameters": parameters.of_view(path, self.view),
            **({} if self._is_reading else {"requestBody": reference("requestBodies", "Webhook")}),
            "security": self.get_auth(),
            "responses": self._successes(operation) | self._others(),
        }

    def get_response_serializers(self) -> Any:
        """Return the successful responses."""
        return OPERATIONS[self.path].answers

    def get_paginated_name(self, serializer_name: str) -> str:
        """Return the name of a list of objects."""
        return f"{serializer_name}List"

    @property
    def _is_reading(self) -> bool:
        return isinstance(self.view, ReadingView)

    def _successes(self, operation: Operation) -> dict[str, Any]:
        common = ["X-Request-ID", *(["X-Data-Age", "Cache-Control", *answers.USAGE] if self._is_reading else [])]
        headers = {name: reference("headers", name) for name in (*common, *operation.headers)}
        links = {"links": operation.links} if operation.links else {}
        bodies = self._get_response_bodies()
        return {status: answer | {"headers": headers} | links for status, answer in bodies.items()}

    def _others(self) -> dict[str, Any]:
        errors = answers.READING if self._is_reading else answers.RECEIVING
        if isinstance(self.view, PagedListView):
            errors = [*errors, *answers.EXPORTING]
        names = {each.status: each.name for each in errors} | {414: "AddressTooLong"}
        if "format" not in getattr(self.view, "parameters", []):
            names.pop(406, None)  # There is only one format.
        if "{" in self.path or self.path in WITH_WORKFLOW:
            names[404] = answers.NOT_FOUND.name
        if self.method == "GET":
            names[304] = "NotModified"
        return {str(status): reference("responses", name) for status, name in sorted(names.items())}


def _permissions(view: Any) -> str:
    needed = " and ".join(f"`{permission}`" for permission in getattr(view, "required_permissions", []))
    return f" The user needs {needed}." if needed else ""


def without_trailing_slashes(endpoints: list[Any]) -> list[Any]:
    """Describe each endpoint by the shorter of its two URLs."""
    return [(path.rstrip("/"), *rest) for path, *rest in endpoints]


def add_what_is_shared(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the introduction and the shared components."""
    components = result["components"] | answers.COMPONENTS
    components["schemas"]["Error"] = answers.ERROR
    return result | {"info": result["info"] | {"description": INTRODUCTION}, "tags": TAGS, "components": components}
