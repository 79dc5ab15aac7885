"""A receiver as one would write it first with Django and REST framework, in one file, on gunicorn.

It has the middleware of a new project, a serializer of the model, `get_or_create`, and connections that stay open.
"""

import hashlib
import hmac
import os

import dj_database_url
from django.conf import settings

settings.configure(
    SECRET_KEY="a-key-of-the-bench-only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=600)},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "rest_framework",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
)

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django is configured first

application = get_wsgi_application()

from django.db import models  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import serializers, status  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

SECRET = os.environ["WEBHOOK_SECRET"].encode()


class Event(models.Model):
    event_id = models.TextField(unique=True)
    event_type = models.TextField()
    happened_at = models.DateTimeField()
    project = models.TextField()
    workflow = models.TextField()
    status = models.TextField()
    received_at = models.DateTimeField(auto_now_add=True)
    body = models.BinaryField()

    class Meta:
        app_label = "plain"
        db_table = "events"

    def __str__(self):
        return self.event_id


class EventSerializer(serializers.ModelSerializer):
    class Meta:
        model = Event
        fields = ["event_id", "event_type", "happened_at", "project", "workflow", "status"]
        extra_kwargs = {"event_id": {"validators": []}}  # get_or_create decides.


class ReceiveView(APIView):
    authentication_classes = []
    permission_classes = []

    def post(self, request):
        body = request._request.body
        digest = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"v1={digest}", request.headers.get("circleci-signature", "")):
            return Response(status=status.HTTP_401_UNAUTHORIZED)
        payload = request.data
        serializer = EventSerializer(
            data={
                "event_id": payload["id"],
                "event_type": payload["type"],
                "happened_at": payload["happened_at"],
                "project": payload["project"]["name"],
                "workflow": payload["workflow"]["name"],
                "status": payload.get("job", payload["workflow"])["status"],
            }
        )
        serializer.is_valid(raise_exception=True)
        values = {**serializer.validated_data, "body": body}
        event, created = Event.objects.get_or_create(event_id=payload["id"], defaults=values)
        code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
        return Response(EventSerializer(event).data, status=code)


urlpatterns = [path("log-circleci-webhook", ReceiveView.as_view())]
