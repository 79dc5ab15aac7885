"""Hide secrets on Django's exception page, which, under DEBUG, shows settings, the request and every variable."""

import os
import re
from collections.abc import ItemsView, Iterator
from types import FrameType
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from logs.notifications.hiding import forms_of

SHORTEST_CREDENTIAL = 8  # The shortest word in a header to hide: "Basic" is not a secret.


class SecretsFilter(SafeExceptionReporterFilter):
    """Hides the site's secrets and the request's credentials everywhere on the page, even if DEBUG is on."""

    # An expected digest is a valid signature of the body shown beside it.
    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|DIGEST", re.IGNORECASE)

    def is_active(self, request: HttpRequest | None) -> bool:
        """Always apply `sensitive_variables` and `sensitive_post_parameters`; Django ignores them under DEBUG."""
        return True

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        """Omit the process's environment, which runserver adds: any variable may hold a password."""
        meta: dict[str, Any] = super().get_safe_request_meta(request)
        return {name: value for name, value in meta.items() if name not in os.environ}

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> ItemsView[str, Any]:
        """Hide each variable whose name Django would hide in the settings, or whose repr() contains a secret."""
        hidden = {form for secret in self._secrets(request) for form in forms_of(secret)}
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return {name: self._cleansed(name, value, hidden) for name, value in variables}.items()

    def _cleansed(self, name: str, value: Any, hidden: set[str]) -> Any:
        try:
            cleansed = self.cleanse_setting(name, value)
            shown = repr(cleansed)
        except Exception:  # noqa: BLE001 - the repr() of any object may fail, or recurse without end
            return self.cleansed_substitute
        return self.cleansed_substitute if any(form in shown for form in hidden) else cleansed

    def _secrets(self, request: HttpRequest | None) -> Iterator[str]:
        yield settings.SECRET_KEY
        yield from filter(None, [settings.METRICS_TOKEN])
        yield from (database["PASSWORD"] for database in settings.DATABASES.values() if database.get("PASSWORD"))
        for value in settings.CIRCLECI_WEBHOOK_SECRETS.values():
            secrets = value["secrets"] if isinstance(value, dict) else value
            yield from filter(None, [secrets] if isinstance(secrets, str) else secrets or ())
        for name, value in request.META.items() if request else ():
            if isinstance(value, str) and self.hidden_settings.search(name):
                yield from (word for word in re.split(r"[\s,;=]+", value) if len(word) >= SHORTEST_CREDENTIAL)
