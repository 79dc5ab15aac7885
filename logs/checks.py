"""System checks that report wrong or unsafe settings."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections
from psycopg import RawCursor

from logs.circleci.vocabulary import PROVIDERS
from logs.conf import Webhook, webhooks
from logs.networks import is_larger_than_private
from logs.replica import REPLICA

SHORT_SECRET_LENGTH = 16
MAX_NAME_LENGTH = 255
WILDCARD = re.compile(r"[*?[]")
NOT_OF_LIBPQ = {"pool", "prepare_threshold", "isolation_level", "assume_role", "server_side_binding"}  # psycopg, Django
# The longest timeouts of a PostgreSQL session, in milliseconds; databases.py requests them.
MAX_TIMEOUTS = {"lock_timeout": 3_000, "idle_in_transaction_session_timeout": 10_000}
# SQLSTATE codes: the name of a prepared statement is taken, and a prepared statement does not exist.
STATEMENT_LOST = ("42P05", "26000")


def check_webhooks(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check CIRCLECI_WEBHOOK_SECRETS."""
    configured = webhooks()
    if not configured:
        return [
            CheckWarning(
                "No webhook is configured: every delivery will be refused.",
                hint='Set CIRCLECI_WEBHOOK_SECRETS, for example to {"My CircleCI Webhook": "its secret token"}.',
                id="logs.W001",
            )
        ]
    return [
        *(message for webhook in configured for message in _check_webhook(webhook)),
        *(message for webhook in configured for message in _check_projects(webhook)),
        *_check_shared_urls(configured),
        *_check_shared_secrets(configured),
    ]


def _check_webhook(webhook: Webhook) -> Iterator[CheckMessage]:
    if not webhook.slug or len(webhook.name) > MAX_NAME_LENGTH:
        yield Error(
            f"The webhook name {webhook.name!r} in CIRCLECI_WEBHOOK_SECRETS cannot be part of a URL.",
            hint=f"Use a name of at most {MAX_NAME_LENGTH} characters with at least one ASCII letter or digit.",
            id="logs.E002",
        )
    if not webhook.is_signed:
        yield CheckWarning(
            f"The webhook {webhook.name!r} has no secret: any client that knows its URL can log events.",
            hint="Set the same secret token in CircleCI and in CIRCLECI_WEBHOOK_SECRETS.",
            id="logs.W003",
        )
    if any(not secret.strip("\0") for secret in webhook.secrets):
        yield Error(
            f"A secret of the webhook {webhook.name!r} is empty; it never matches.",
            hint="Write null in CIRCLECI_WEBHOOK_SECRETS for a webhook that has no secret token.",
            id="logs.E001",
        )
    if any(0 < len(secret) < SHORT_SECRET_LENGTH for secret in webhook.secrets):
        yield CheckWarning(
            f"A secret of the webhook {webhook.name!r} is shorter than {SHORT_SECRET_LENGTH} characters.",
            hint="Generate a longer one with `openssl rand -hex 32`; CIRCLECI_WEBHOOK_SECRETS may list both the old "
            "and the new secret during the changeover.",
            id="logs.W002",
        )


def _check_projects(webhook: Webhook) -> Iterator[CheckMessage]:
    for pattern in webhook.projects:
        if not _may_match_a_slug(pattern):
            yield CheckWarning(
                f"The webhook {webhook.name!r} is bound to {pattern!r}, which matches no project.",
                hint="Write slugs in CIRCLECI_WEBHOOK_SECRETS as in payloads: github/acme/orchard (not gh/), "
                "bitbucket/acme/* (not bb/) or circleci/<id>/<id>.",
                id="logs.W005",
            )


def _may_match_a_slug(pattern: str) -> bool:
    """Return whether a slug (provider/organization/repository) can match an `fnmatch` pattern."""
    parts = pattern.split("/")
    if len(parts) > 3 or "" in parts or pattern != pattern.strip():
        return False
    if not WILDCARD.search(pattern):
        return len(parts) == 3 and parts[0] in PROVIDERS
    start = WILDCARD.split(parts[0])[0]
    return parts[0] in PROVIDERS or (start != parts[0] and any(provider.startswith(start) for provider in PROVIDERS))


def check_default_branches(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the projects in DEFAULT_BRANCHES can exist."""
    pairs = [(entry, entry.rpartition(":")) for entry in settings.DEFAULT_BRANCHES]
    return [
        CheckWarning(
            f"The entry {entry!r} in DEFAULT_BRANCHES matches no project.",
            hint="Write slugs before the colon as in payloads: github/acme/legacy-*:develop (not gh/).",
            id="logs.W010",
        )
        for entry, (projects, colon, _) in pairs
        if colon and not _may_match_a_slug(projects)
    ]


def _check_shared_urls(configured: Sequence[Webhook]) -> Iterator[CheckMessage]:
    names = defaultdict(list)
    for webhook in configured:
        names[webhook.slug].append(webhook.name)
    for slug, sharing in names.items():
        if slug and len(sharing) > 1:
            yield Error(
                f"The webhooks {', '.join(map(repr, sharing))} have the same URL /log-circleci-webhook/{slug}.",
                hint="Rename all but one of them in CIRCLECI_WEBHOOK_SECRETS.",
                id="logs.E003",
            )


def _check_shared_secrets(configured: Sequence[Webhook]) -> Iterator[CheckMessage]:
    names = defaultdict(set)
    for webhook in configured:
        for secret in webhook.secrets:
            names[secret].add(webhook.name)
    for sharing in names.values():
        if len(sharing) > 1:
            yield CheckWarning(
                f"The webhooks {', '.join(map(repr, sorted(sharing)))} share a secret: their deliveries cannot be told "
                "apart.",
                hint="Give each webhook its own secret in CIRCLECI_WEBHOOK_SECRETS.",
                id="logs.W004",
            )


def check_debug(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that an HTTPS site has DEBUG off."""
    if settings.DEBUG and settings.SECURE_SSL_REDIRECT:
        return [
            Error(
                "DEBUG is on, but the site uses HTTPS: error pages would show settings and payloads.",
                hint="Unset DEBUG or, on a laptop, HTTPS_ONLY.",
                id="logs.E004",
            )
        ]
    return []


def check_debug_is_local(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that only this machine can reach a site that has DEBUG on."""
    exposed = [host for host in (settings.BIND_ADDRESS, *settings.ALLOWED_HOSTS) if not _is_loopback(host)]
    if settings.DEBUG and exposed:
        return [
            Error(
                "DEBUG is on, but other machines can reach the site (BIND_ADDRESS or ALLOWED_HOSTS has "
                f"{', '.join(exposed)}): error pages would show settings and payloads.",
                hint="Unset DEBUG or, on a laptop, set BIND_ADDRESS=127.0.0.1 and ALLOWED_HOSTS=localhost,127.0.0.1.",
                id="logs.E005",
            )
        ]
    return []


def check_proxies(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that TRUSTED_PROXIES allows the site to tell clients apart."""
    if settings.SECURE_SSL_REDIRECT and not settings.TRUSTED_PROXIES:
        return [
            CheckWarning(
                "HTTPS_ONLY is set without TRUSTED_PROXIES: all clients share the proxy's IP address and its limits.",
                hint="Set TRUSTED_PROXIES to the IP address of the proxy that terminates TLS; 127.0.0.1 if it runs on "
                "this machine.",
                id="logs.W006",
            )
        ]
    return [
        CheckWarning(
            f"TRUSTED_PROXIES has {network}: any client can claim any IP address in X-Forwarded-For.",
            hint="Set TRUSTED_PROXIES to the IP addresses or networks of your proxies only, such as 10.0.0.0/8.",
            id="logs.W007",
        )
        for network in settings.TRUSTED_PROXIES
        if is_larger_than_private(network) or network.network_address.is_unspecified
    ]


def check_hosts(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that a deployed site accepts a host name that other machines can use."""
    if settings.SECURE_SSL_REDIRECT and all(map(_is_loopback, settings.ALLOWED_HOSTS)):
        return [
            CheckWarning(
                "ALLOWED_HOSTS has only names of this machine: requests from other machines get status 400.",
                hint="Set ALLOWED_HOSTS to the site's host name, such as hooks.example.com.",
                id="logs.W008",
            )
        ]
    return []


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().removeprefix(".") == "localhost" or host.lower().endswith(".localhost")


def check_database(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check the options in the databases' URLs as the driver would, without connecting."""
    replica = _check_options("DATABASE_REPLICA_URL", connections[REPLICA]) if REPLICA in connections else ()
    return [*_check_options("DATABASE_URL", connection), *replica]


def _check_options(variable: str, database: Any) -> Iterator[CheckMessage]:
    driver = database.Database
    try:
        if database.vendor == "postgresql":
            options = database.settings_dict["OPTIONS"].items()
            driver.conninfo.make_conninfo("", **{name: value for name, value in options if name not in NOT_OF_LIBPQ})
        else:
            driver.connect(**database.get_connection_params() | {"database": ":memory:"}).close()
    except (ImproperlyConfigured, TypeError, ValueError, driver.Error) as error:
        yield Error(
            f"{variable} has an option that the database does not accept: {str(error).strip().rstrip('.')}.",
            hint=f"Remove it from the end of {variable}, or write it as in PostgreSQL's documentation, for example "
            "?sslmode=require.",
            id="logs.E006",
        )


def check_static_files(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that STATIC_ROOT contains the styles and scripts."""
    if settings.STATIC_ROOT and not os.access(settings.STATIC_ROOT / "admin", os.R_OK):
        return [
            CheckWarning(
                f"STATIC_ROOT has no styles and scripts: {settings.STATIC_ROOT}.",
                hint="Run `manage.py collectstatic`, or unset STATIC_ROOT to serve them from the installed packages.",
                id="logs.W009",
            )
        ]
    return []


def check_postgresql(
    app_configs: Sequence[AppConfig] | None, databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that PostgreSQL sessions have the settings that databases.py requests; PgBouncer may drop them."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or connection.vendor != "postgresql":
        return []
    try:
        return [*_check_timeouts(), *_check_prepared_statements()]
    except (DatabaseError, InterfaceError):  # The database is unreachable, which /readyz reports.
        return []


def _check_timeouts() -> Iterator[CheckMessage]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting::int FROM pg_settings WHERE name = ANY(%s)", [list(MAX_TIMEOUTS)])
        timeouts = dict(cursor.fetchall())
    for name, limit in MAX_TIMEOUTS.items():
        if not 0 < timeouts[name] <= limit:
            yield Error(
                f"PostgreSQL's {name} is {timeouts[name]} ms instead of {limit} ms: deliveries could wait forever.",
                hint=f"PgBouncer drops a connection's timeouts. Set it with ALTER ROLE … SET {name} = {limit}.",
                id="logs.E007",
            )


def _check_prepared_statements() -> Iterator[CheckMessage]:
    if connection.settings_dict["OPTIONS"].get("prepare_threshold") is None:
        return
    # psycopg gives the first statement of every connection the same name: two connections that share a session clash.
    pair = [connection.copy() for _ in range(2)]
    try:
        for database in [*pair, *pair]:
            database.ensure_connection()
            with database.wrap_database_errors, RawCursor(database.connection) as cursor:
                cursor.execute("SELECT 1", prepare=True)
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) not in STATEMENT_LOST:
            raise
        yield Error(
            "PgBouncer mixes up the prepared statements of its clients: deliveries would fail at random.",
            hint="Set max_prepared_statements (from PgBouncer 1.22), or add ?prepare_threshold=none to DATABASE_URL.",
            id="logs.E008",
        )
    finally:
        for database in pair:
            database.close()
