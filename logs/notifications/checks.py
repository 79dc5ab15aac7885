"""System checks that report settings with which channels reach too much or are missing, or messages link to nothing."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from logs.networks import is_larger_than_private


def check_allowed_networks(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that NOTIFICATION_ALLOWED_NETWORKS does not include the internet."""
    return [
        CheckWarning(
            f"NOTIFICATION_ALLOWED_NETWORKS has {network}: channels can send secrets to the internet over http.",
            hint="Set NOTIFICATION_ALLOWED_NETWORKS to the private networks of your programs, such as 10.20.0.0/16.",
            id="logs.W011",
        )
        for network in settings.NOTIFICATION_ALLOWED_NETWORKS
        if is_larger_than_private(network)
    ]


def check_site_url(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that a deployed site has a SITE_URL, and that it has the path prefix of the site."""
    prefix = settings.FORCE_SCRIPT_NAME or ""
    if settings.SECURE_SSL_REDIRECT and not settings.SITE_URL:
        return [
            CheckWarning(
                "HTTPS_ONLY is set without SITE_URL: messages cannot link to this site.",
                hint="Set SITE_URL to the site's URL, such as https://hooks.example.com.",
                id="logs.W012",
            )
        ]
    if settings.SITE_URL and urlsplit(settings.SITE_URL).path != prefix:
        return [
            CheckWarning(
                f"The path of SITE_URL ({settings.SITE_URL}) is not SCRIPT_NAME ({prefix or 'not set'}): links in "
                "messages lead nowhere.",
                hint="End SITE_URL with the path prefix in SCRIPT_NAME: https://example.com/ci for /ci.",
                id="logs.W013",
            )
        ]
    return []


def check_channel_plugins(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the plug-ins in CHANNEL_PLUGINS can be used. A warning: the site works without them."""
    # Needs the models, which are not loaded yet when this module is.
    from logs.notifications.channels import PLUGIN_PROBLEMS  # noqa: PLC0415

    return [
        CheckWarning(
            problem,
            hint="Install a package that offers it, in the version that fits, or remove the name from CHANNEL_PLUGINS.",
            id="logs.W014",
        )
        for problem in PLUGIN_PROBLEMS
    ]
