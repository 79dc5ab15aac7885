"""The ASGI application that gunicorn serves."""

from django.utils.module_loading import import_string

from webhooklog.wsgi import application as wsgi_application

application = import_string("logs.api.asgi.Application")(wsgi_application)
