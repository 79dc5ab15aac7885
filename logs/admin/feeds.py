"""Feeds in the admin: created, listed and revoked, but never changed."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from logs.admin.inspector import RevocableAdmin
from logs.admin.rules.sentence import lines_of
from logs.http.full_urls import full_url
from logs.models import Feed
from logs.models.rules import DEFAULT_BRANCH
from logs.permissions import VIEW_EVENTS
from logs.templatetags.display import timestamp

# fmt: off
FILES = {
    "badge":      _("Badge, an image"),
    "badge-json": _("Badge for shields.io"),
    "cctray":     _("cctray, for build monitors"),
    "changes":    _("Atom, one entry for each change"),
}
# fmt: on


class FeedForm(forms.ModelForm):  # type: ignore[type-arg]  # It takes no type at run time.
    """A new feed."""

    class Meta:
        model = Feed
        fields = ["name", "projects", "workflows", "branches"]
        widgets = {name: forms.Textarea({"rows": 2}) for name in ("projects", "workflows", "branches")}

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, initial={"branches": DEFAULT_BRANCH})


@admin.register(Feed)
class FeedAdmin(RevocableAdmin):
    """Lists feeds; deleting a feed revokes its URLs."""

    list_display = ["name", "what", "made", "created_by"]
    ordering = ["-created_at", "-pk"]
    revoke_title = _("Revoke feed")
    revoked_message = _("Revoked %s. Its URLs now get status 404.")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Create a feed and show its URLs once, in the response.

        Raises:
            PermissionDenied: the user may not create feeds.
        """
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = FeedForm(request.POST or None)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("New feed"),
            "submit_label": gettext("Create feed"),
            "form": form,
        }
        if request.method != "POST" or not form.is_valid():
            return TemplateResponse(request, "logs/admin/issue_form.html", context)
        with transaction.atomic():
            feed, token = Feed.issue(created_by=request.user.get_username(), **form.cleaned_data)
            self.log_addition(request, feed, gettext("Created."))
        urls = [
            (label, name, full_url(request, reverse(f"feeds:{name}", args=[token]))) for name, label in FILES.items()
        ]
        return TemplateResponse(
            request, "logs/admin/feed_made.html", context | {"title": feed.name, "feed": feed, "urls": urls}
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may create feeds, and view what they show."""
        return super().has_add_permission(request) and request.user.has_perm(VIEW_EVENTS)

    @admin.display(description=_("shows"))
    def what(self, feed: Feed) -> str:
        """Show the patterns."""
        parts = (
            (gettext("projects"), feed.projects),
            (gettext("workflows"), feed.workflows),
            (gettext("branches"), feed.branches),
        )
        given = [f"{name} {', '.join(lines_of(patterns))}" for name, patterns in parts if patterns.strip()]
        return "; ".join(given) or gettext("everything")

    @admin.display(description=_("created"), ordering="created_at")
    def made(self, feed: Feed) -> SafeString | str:
        """Show when the feed was created."""
        return timestamp(feed.created_at)
