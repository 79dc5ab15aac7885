"""The application's entry in INSTALLED_APPS."""

from django.apps import AppConfig
from django.core.checks import register

from logs.checks import check_debug, check_webhooks


class LogsConfig(AppConfig):
    """Registers the system checks."""

    name = "logs"
    verbose_name = "CircleCI webhooks"

    def ready(self) -> None:
        """Register the system checks."""
        register(check_webhooks)
        register(check_debug)
