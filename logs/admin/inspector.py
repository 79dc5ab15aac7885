"""What the pages of deliveries and events share: they show and never change. Payloads are hostile text: escape all."""

import json

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from logs.circleci.payload import parse_payload
from logs.exceptions import PayloadMalformed

EMPTY = "–"


class InspectorAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # It takes no type at run time.
    """Shows rows to those who may view them; nobody may add, change or delete one."""

    empty_value_display = EMPTY
    # Counting all rows beside the filtered ones would read the whole table.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow the page's own filters only: any other could scan the table, or break on a regular expression."""
        own = {getattr(choice, "parameter_name", choice) for choice in self.list_filter}
        return lookup.removesuffix("__exact") in own

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes what has happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a single row; retention does, by age."""
        return False


def pill(text: str, tone: str) -> SafeString | str:
    """Return a word on a coloured ground."""
    return format_html('<span class="pill pill-{}">{}</span>', tone, text) if text else EMPTY


def link_to(row: Model | None) -> SafeString | str:
    """Return a link to a row's page."""
    if row is None:
        return EMPTY
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row)


def pretty_body(body: bytes) -> SafeString:
    """Return a body as indented JSON, or as the text it is, or in hexadecimal where it is none."""
    try:
        text = json.dumps(parse_payload(body), indent=2, ensure_ascii=False)
    except PayloadMalformed:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = body.hex(" ")
    # A lone surrogate, which JSON can spell, cannot be sent in UTF-8.
    text = text.encode("utf-8", "replace").decode()
    return format_html('<pre class="body">{}</pre>', text)
