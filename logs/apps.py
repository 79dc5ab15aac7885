"""The entries in INSTALLED_APPS: this application, and the admin with its own site."""

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps
from django.core.checks import Tags, register
from django.utils.translation import gettext_lazy as _

from logs.checks import (
    check_database,
    check_debug,
    check_debug_is_local,
    check_default_branches,
    check_hosts,
    check_postgresql,
    check_proxies,
    check_static_files,
    check_webhooks,
)
from logs.notifications.checks import check_allowed_networks, check_channel_plugins, check_site_url

# Replaces other applications' names for their models. Migrations do not record this.
RENAMED_MODELS = [
    ("admin.LogEntry", _("audit log entry"), _("audit log entries")),
    ("axes.AccessAttempt", _("failed sign-in"), _("failed sign-ins")),
]


class LogsConfig(AppConfig):
    """Registers the system checks and renames other applications' sections, models and fields in the admin."""

    name = "logs"
    verbose_name = "CircleCI webhooks"

    def ready(self) -> None:
        """Register the system checks, and rename other applications' sections, models and fields."""
        register(check_webhooks)
        register(check_default_branches)
        register(check_debug)
        register(check_debug_is_local)
        register(check_proxies)
        register(check_hosts)
        register(check_database)
        register(check_static_files)
        register(check_allowed_networks)
        register(check_site_url)
        register(check_channel_plugins)
        register(check_postgresql, Tags.database)
        for label in ("admin", "auth", "axes"):
            apps.get_app_config(label).verbose_name = _("Administration")
        for label, name, plural in RENAMED_MODELS:
            meta = apps.get_model(label)._meta
            meta.verbose_name, meta.verbose_name_plural = name, plural
        apps.get_model("auth.User")._meta.get_field("last_login").verbose_name = _("last sign-in")


class WebhooklogAdminConfig(admin_apps.AdminConfig):
    """Django's admin with the dashboard as its start page."""

    default = False  # The entry "logs" selects LogsConfig.
    default_site = "logs.admin_site.WebhooklogAdminSite"
