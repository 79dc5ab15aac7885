"""The permissions that requests need."""

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from logs import permissions
from logs.models import ApiToken


def may(request: Request, permission: str) -> bool:
    """Return whether the user has a permission, and the token, if there is one, has its scope."""
    return _is_in_scope(request, permission) and permissions.may(request.user, permission)


class HasPermissions(BasePermission):
    """Allows users who have all of the view's ``required_permissions``."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request is allowed; if not, the response asks for credentials.

        Raises:
            PermissionDenied: the user is signed in but lacks a permission, or the token lacks a scope.
        """
        missing = [permission for permission in view.required_permissions if not may(request, permission)]
        if missing and not _is_in_scope(request, missing[0]):
            raise PermissionDenied(_out_of_scope(request.auth, missing[0]), "insufficient_scope")
        if missing and request.user.is_authenticated:
            raise PermissionDenied(
                f"This needs the permission {missing[0]}; an administrator can grant it to {request.user}.",
                "permission_denied",
            )
        return not missing


def _is_in_scope(request: Request, permission: str) -> bool:
    return not isinstance(request.auth, ApiToken) or request.auth.allows(permission)


def _out_of_scope(token: Any, permission: str) -> str:
    needed = next((scope for scope, each in permissions.SCOPES.items() if each == permission), permission)
    return f"This needs the scope {needed}; the token has {token.scopes or 'no scope'}. Create a token with that scope."
