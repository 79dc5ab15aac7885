"""Read all environment variables as typed values, and report all errors at once.

A test checks that ``docs/configuration.md`` lists every variable.
"""

from dataclasses import dataclass, field
from datetime import time
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from urllib.parse import quote

from environs import validate

from webhooklog.env_reader import EnvironmentReader
from webhooklog.url_parsers import SQLITE

LOCAL_HOSTS = "localhost,127.0.0.1,[::1]"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS = ("line", "json")
WATCHES = ("embedded", "off")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Every variable that configures webhooklog, in the order of ``docs/configuration.md``."""

    secret_key: str = field(repr=False)
    secret_key_fallbacks: list[str] = field(repr=False)  # Earlier values, which still read sessions and secrets.
    debug: bool
    allowed_hosts: list[str]
    https_only: bool  # A proxy terminates TLS.
    site_url: str  # "https://hooks.example.com/ci", for links in messages; "" for no links.
    script_name: str  # The path prefix of the whole site, for example "/ci"; "" for the root.
    trusted_proxies: list[IPv4Network | IPv6Network]
    public_read: bool  # The list of events is readable without signing in.
    cors_allowed_origins: list[str]  # Origins whose pages may read the API in a browser.
    circleci_webhook_secrets: dict[str, Any] = field(repr=False)
    default_branches: list[str]  # Patterns ("release/*"), if needed after a project ("github/acme/old-*:develop").
    data_dir: Path
    static_root: Path | None  # The target of `collectstatic`; None serves static files from the installed packages.
    database_url: dict[str, Any] = field(repr=False)  # An entry of Django's DATABASES.
    database_replica_url: dict[str, Any] = field(repr=False)  # As database_url; {}: there is no replica.
    replica_max_lag_seconds: int  # A replica that lags more is not read.
    database_pool_size: int  # 0: one persistent connection per thread instead of a pool.
    max_body_bytes: int
    delivery_retention_days: int  # 0: forever.
    delivery_retention_count: int  # 0: any number.
    event_retention_days: int  # 0: forever.
    prune_at: time | None  # When, in UTC, the watch applies retention each day; None leaves it to `manage.py prune`.
    refused_body_max_bytes: int
    refused_deliveries_max: int
    refused_deliveries_per_minute: int  # Per client IP address.
    email_url: dict[str, Any] = field(repr=False)  # Django's settings for e-mail.
    email_from: str
    notification_allowed_networks: list[IPv4Network | IPv6Network]  # That channels may reach besides the internet.
    notification_proxy_url: str  # An HTTP proxy for the requests of channels; "" for none.
    channel_plugins: list[str]  # Names of entry points.
    notification_retention_days: int
    notification_max_age_minutes: int  # A state change that is found later after the end of its run is not reported.
    api_requests_per_minute: int  # Per token, user or IP address; 0: any number.
    metrics_token: str = field(repr=False)  # What Prometheus sends to read /metrics; "" turns /metrics off.
    metrics_max_workflows: int  # How many workflows have series of their own.
    log_level: str
    log_format: str
    bind_address: str
    port: int
    web_concurrency: int  # Worker processes.
    web_threads: int  # For readers, per worker process. Webhooks have threads of their own.
    graceful_timeout_seconds: int
    watch: str  # "embedded" in an additional worker process, or "off" if `manage.py watch` runs elsewhere.


def read_environment() -> Environment:
    """Return all variables as typed values.

    Raises:
        ImproperlyConfigured: variables are missing or invalid; the message has a line for each.
    """
    env = EnvironmentReader()
    sqlite_url = f"sqlite:///{quote(str(env.data_dir / 'webhooklog.sqlite3'))}"
    environment = Environment(
        secret_key=env.str("SECRET_KEY"),
        secret_key_fallbacks=env.secret_keys("SECRET_KEY_FALLBACKS", ""),
        debug=env.switch("DEBUG", default=False),
        allowed_hosts=env.hosts("ALLOWED_HOSTS", LOCAL_HOSTS),
        https_only=env.switch("HTTPS_ONLY", default=False),
        site_url=env.site_url("SITE_URL", ""),
        script_name=env.path_prefix("SCRIPT_NAME", ""),
        trusted_proxies=env.networks("TRUSTED_PROXIES", ""),
        public_read=env.switch("PUBLIC_READ", default=False),
        cors_allowed_origins=env.origins("CORS_ALLOWED_ORIGINS", ""),
        circleci_webhook_secrets=env.secrets("CIRCLECI_WEBHOOK_SECRETS", "{}"),
        default_branches=env.branches("DEFAULT_BRANCHES", "main,master"),
        data_dir=env.data_dir,
        static_root=env.path("STATIC_ROOT", None),
        database_url=env.database_url("DATABASE_URL", sqlite_url),
        database_replica_url=env.replica_url("DATABASE_REPLICA_URL", ""),
        replica_max_lag_seconds=env.number("REPLICA_MAX_LAG_SECONDS", 10),
        database_pool_size=env.number("DATABASE_POOL_SIZE", 0),
        max_body_bytes=env.number("MAX_BODY_BYTES", 1_048_576),
        delivery_retention_days=env.number("DELIVERY_RETENTION_DAYS", 90),
        delivery_retention_count=env.number("DELIVERY_RETENTION_COUNT", 0),
        event_retention_days=env.number("EVENT_RETENTION_DAYS", 0),
        prune_at=env.clock_time("PRUNE_AT", ""),
        refused_body_max_bytes=env.number("REFUSED_BODY_MAX_BYTES", 65_536),
        refused_deliveries_max=env.number("REFUSED_DELIVERIES_MAX", 1_000),
        refused_deliveries_per_minute=env.number("REFUSED_DELIVERIES_PER_MINUTE", 60),
        email_url=env.email_url("EMAIL_URL", ""),
        email_from=env.sender("EMAIL_FROM", ""),
        notification_allowed_networks=env.networks("NOTIFICATION_ALLOWED_NETWORKS", ""),
        notification_proxy_url=env.proxy_url("NOTIFICATION_PROXY_URL", ""),
        channel_plugins=env.channel_plugins("CHANNEL_PLUGINS", ""),
        notification_retention_days=env.number("NOTIFICATION_RETENTION_DAYS", 90),
        notification_max_age_minutes=env.number("NOTIFICATION_MAX_AGE_MINUTES", 60),
        api_requests_per_minute=env.number("API_REQUESTS_PER_MINUTE", 600),
        metrics_token=env.metrics_token("METRICS_TOKEN", ""),
        metrics_max_workflows=env.number("METRICS_MAX_WORKFLOWS", 200),
        log_level=env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(LOG_LEVELS)),
        log_format=env.str("LOG_FORMAT", "line", validate=validate.OneOf(LOG_FORMATS)),
        bind_address=env.bind_address("BIND_ADDRESS", "127.0.0.1"),
        port=env.number("PORT", 8000),
        web_concurrency=env.number("WEB_CONCURRENCY", 2),
        web_threads=env.number("WEB_THREADS", 8),
        graceful_timeout_seconds=env.number("GRACEFUL_TIMEOUT_SECONDS", 30),
        watch=env.str("WATCH", "embedded", validate=validate.OneOf(WATCHES)),
    )
    if environment.database_url and environment.database_url["ENGINE"] == SQLITE:
        env.create_data_dir()
        env.check_sqlite_file(Path(environment.database_url["NAME"]))
        if environment.database_replica_url:
            env.source_errors["DATABASE_REPLICA_URL"] = ["Needs PostgreSQL in DATABASE_URL; unset it for SQLite."]
    env.seal()
    return environment
