"""Users and groups in the admin, as Django shows them, but with fields that a screen reader can name."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

admin.site.unregister([Group, User])


@admin.register(User)
class AccountAdmin(UserAdmin):  # type: ignore[type-arg]  # It takes no type at run time.
    """Makes users, and tells what each may do."""

    # Django's pairs of lists, and its fields for a date and a time, have parts without accessible names.
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    """Makes groups, and tells what their members may do."""

    filter_horizontal = ()
