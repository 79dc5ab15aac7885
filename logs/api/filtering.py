"""How parameters choose rows in the API."""

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request

from logs.api.errors import BadRequest
from logs.reading.filters import PagedFilterSet


class StrictFilterBackend(DjangoFilterBackend):
    """Filters by a view's filter set, and answers the first thing that is wrong in the shape of all errors."""

    def filter_queryset(  # type: ignore[override]  # REST framework gives it a request of its own.
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        """Return the rows that the parameters ask for, and leave the filter set at the view, for its pages.

        Raises:
            BadRequest: a parameter cannot be understood.
        """
        filterset: PagedFilterSet = view.filterset_class(request.query_params, queryset, request=request)
        if not filterset.is_valid():
            name, messages = next(iter(filterset.errors.items()))
            raise BadRequest(f"{name}: {messages[0]}", "invalid_parameter")
        view.filterset = filterset
        rows: QuerySet[Any] = filterset.qs
        return rows
