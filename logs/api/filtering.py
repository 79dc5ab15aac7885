"""Filter lists in the API."""

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request

from logs.reading.query import read_filters


class StrictFilterBackend(DjangoFilterBackend):
    """Filters by the view's filter set, and rejects invalid values."""

    def filter_queryset(  # type: ignore[override]  # REST framework passes its own request.
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        """Return the rows that the parameters select, and set ``view.filterset`` for the pagination.

        Raises:
            InvalidQuery: a filter's value is invalid.
        """
        view.filterset = read_filters(view.filterset_class, request.query_params, queryset)
        rows: QuerySet[Any] = view.filterset.qs
        return rows
