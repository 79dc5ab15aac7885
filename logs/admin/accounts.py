"""Users and groups in the admin, with fields that a screen reader can name."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

HELP_TEXTS = {
    "username": _("Letters, digits and @ . + - _ only."),
    "is_active": _("Clear this instead of deleting an account."),
    "is_staff": _("May sign in to these pages; without it, the account can only use the API."),
    "is_superuser": _("Has every permission."),
}

admin.site.unregister([Group, User])


@admin.register(User)
class AccountAdmin(UserAdmin):  # type: ignore[type-arg]  # It takes no type at run time.
    """Creates users and sets their permissions."""

    # Django's widgets for dual lists and for date and time contain parts without accessible names.
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Use this site's own help texts for the fields."""
        if help_text := HELP_TEXTS.get(db_field.name):
            kwargs["help_text"] = help_text
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    """Creates groups and sets their members' permissions."""

    filter_horizontal = ()
