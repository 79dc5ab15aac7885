"""Who may read the log."""

from django.conf import settings
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class MayReadEvents(BasePermission):
    """Lets in signed-in users, and everybody where PUBLIC_READ is set."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the request may read events."""
        return settings.PUBLIC_READ or request.user.is_authenticated
