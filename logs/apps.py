"""The entries in INSTALLED_APPS: this application, and the admin with its own site."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.core.checks import Tags, register

from logs.checks import (
    check_database,
    check_debug,
    check_debug_is_local,
    check_hosts,
    check_postgresql,
    check_proxies,
    check_static_files,
    check_webhooks,
)


class LogsConfig(AppConfig):
    """Registers the system checks."""

    name = "logs"
    verbose_name = "CircleCI webhooks"

    def ready(self) -> None:
        """Register the system checks."""
        register(check_webhooks)
        register(check_debug)
        register(check_debug_is_local)
        register(check_proxies)
        register(check_hosts)
        register(check_database)
        register(check_static_files)
        register(check_postgresql, Tags.database)


class WebhooklogAdminConfig(admin_apps.AdminConfig):
    """Django's admin with the dashboard as its start page."""

    default = False  # The entry "logs" selects LogsConfig.
    default_site = "logs.admin_site.WebhooklogAdminSite"
