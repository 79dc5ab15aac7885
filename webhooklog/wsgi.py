"""The WSGI application: under gunicorn, asgi.py calls it for readers; other servers and tests call it directly."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooklog.settings")


class Request(WSGIRequest):
    """A request that accepts any content type.

    Django parses the content type's parameters when it creates the request, before any middleware runs. A charset that
    Django cannot decode raises ValueError there, which would cause a 500 response.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # Django's stubs leave it out.
        except ValueError:
            self.content_type, self.content_params = "unreadable", {}


class Application(WSGIHandler):
    """Django's WSGI application, using the `Request` class above."""

    request_class = Request


django.setup(set_prefix=False)
application = Application()
