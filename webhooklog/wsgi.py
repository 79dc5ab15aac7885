"""The WSGI application that gunicorn serves."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooklog.settings")


class Request(WSGIRequest):
    """A request that accepts any content type.

    Django parses its parameters when it creates the request, before all middleware. A charset that it cannot decode
    raises ValueError there, which would be answered 500.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # Django's stubs leave it out.
        except ValueError:
            self.content_type, self.content_params = "unreadable", {}


class Application(WSGIHandler):
    """Django's application with this class of requests."""

    request_class = Request


django.setup(set_prefix=False)
application = Application()
