"""Failed sign-ins in the admin; deleting an IP address's failures unlocks that address."""

from axes.models import AccessAttempt
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from logs.admin.inspector import InspectorAdmin
from logs.templatetags.display import timestamp


@admin.register(AccessAttempt)
class SignInAdmin(InspectorAdmin):
    """Lists failed sign-ins by IP address, account and browser."""

    list_display = ["ip_address", "username", "failures", "at", "path_info", "user_agent"]
    fields = ["ip_address", "username", "failures", "at", "path_info", "user_agent"]
    search_fields = ["ip_address__startswith", "username"]
    search_help_text = _("IP address or username. Delete an IP address's rows to unlock it.")
    ordering = ["-attempt_time", "-pk"]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may unlock IP addresses."""
        return request.user.has_perm("axes.delete_accessattempt")

    @admin.display(description=_("failures"), ordering="failures_since_start")
    def failures(self, attempt: AccessAttempt) -> int:
        """Show the number of wrong passwords."""
        return int(attempt.failures_since_start)

    @admin.display(description=_("last failure"), ordering="attempt_time")
    def at(self, attempt: AccessAttempt) -> SafeString | str:
        """Show when the last sign-in failed."""
        return timestamp(attempt.attempt_time)
