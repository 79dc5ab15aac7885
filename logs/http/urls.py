"""The URLs for monitoring. Middleware answers the probes (`logs.http.probes`)."""

from django.urls import re_path

from logs.http.metrics import metrics

app_name = "monitoring"

urlpatterns = [re_path(r"^metrics/?\Z", metrics, name="metrics")]
