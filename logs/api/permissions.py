"""The permissions that requests need."""

from typing import Any

from django.conf import settings
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from logs.permissions import VIEW_EVENTS


def may(request: Request, permission: str) -> bool:
    """Return whether the user has a permission; with PUBLIC_READ, every client may view events."""
    return (permission == VIEW_EVENTS and settings.PUBLIC_READ) or request.user.has_perm(permission)


class HasPermissions(BasePermission):
    """Allows users who have all of the view's ``required_permissions``."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request is allowed; if not, the response asks for credentials.

        Raises:
            PermissionDenied: the user is signed in but lacks a permission.
        """
        missing = [permission for permission in view.required_permissions if not may(request, permission)]
        if missing and request.user.is_authenticated:
            raise PermissionDenied(
                f"This needs the permission {missing[0]}; an administrator can grant it to {request.user}.",
                "permission_denied",
            )
        return not missing
