"""Users and groups in the admin, as Django shows them, but with fields that a screen reader can name."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import models

# In place of Django's pairs of lists, whose parts have no accessible names.
CHECKBOXES: dict[Any, dict[str, Any]] = {models.ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}

admin.site.unregister([Group, User])


@admin.register(User)
class AccountAdmin(UserAdmin):  # type: ignore[type-arg]  # It takes no type at run time.
    """Makes users, and tells what each may do."""

    filter_horizontal = ()
    formfield_overrides = CHECKBOXES
    readonly_fields = ("last_login", "date_joined")


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    """Makes groups, and tells what their members may do."""

    filter_horizontal = ()
    formfield_overrides = CHECKBOXES
