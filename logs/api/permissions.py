"""Who may read the log, and who may replay."""

from typing import Any

from django.conf import settings
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from logs.permissions import VIEW_EVENTS


def may(request: Request, permission: str) -> bool:
    """Whether the request's user has a permission; PUBLIC_READ gives everybody that of viewing events."""
    return (permission == VIEW_EVENTS and settings.PUBLIC_READ) or request.user.has_perm(permission)


class HasPermissions(BasePermission):
    """Lets in users who have all the permissions that the view's ``required_permissions`` name."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell whether the request may be answered; False asks for credentials.

        Raises:
            PermissionDenied: somebody is signed in, but lacks a permission.
        """
        missing = [permission for permission in view.required_permissions if not may(request, permission)]
        if missing and request.user.is_authenticated:
            raise PermissionDenied(
                f"This needs the permission {missing[0]}; an administrator can give it to {request.user}.",
                "permission_denied",
            )
        return not missing
