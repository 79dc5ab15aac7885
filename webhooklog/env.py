"""Read all environment variables as typed values, and report all errors at once.

A variable ``NAME`` may also come from the file that ``NAME_FILE`` names, such as a Docker secret, or from a ``.env``
file. An empty variable counts as not set. A test checks that ``docs/configuration.md`` lists every variable.
"""

import os
from dataclasses import dataclass, field
from datetime import time
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values
from environs import Env, EnvValidationError, validate

from webhooklog.parsers import (
    UNUSABLE,
    parse_bind_address,
    parse_branches,
    parse_channel_plugins,
    parse_clock_time,
    parse_hosts,
    parse_metrics_token,
    parse_networks,
    parse_number,
    parse_path_prefix,
    parse_secret_keys,
    parse_secrets,
    parse_sender,
)
from webhooklog.url_parsers import (
    SQLITE,
    parse_database_url,
    parse_email_url,
    parse_origins,
    parse_proxy_url,
    parse_replica_url,
    parse_site_url,
)

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_HOSTS = "localhost,127.0.0.1,[::1]"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS = ("line", "json")
WATCHES = ("embedded", "off")

# The lowest and highest value of each number. Above the highest, a date, a database column or memory would overflow.
# Below the lowest MAX_BODY_BYTES, real deliveries (1 to 3 kB) could be too large.
BOUNDS = {
    # At most the minute that live lists read again (SETTLED_AFTER): rows that appear later would be missing.
    "REPLICA_MAX_LAG_SECONDS": (1, 60),
    "DATABASE_POOL_SIZE": (0, 1_000),
    "MAX_BODY_BYTES": (10_000, 100_000_000),
    "DELIVERY_RETENTION_DAYS": (0, 36_500),
    "DELIVERY_RETENTION_COUNT": (0, 1_000_000_000),
    "EVENT_RETENTION_DAYS": (0, 36_500),
    "REFUSED_BODY_MAX_BYTES": (0, 100_000_000),
    "REFUSED_DELIVERIES_MAX": (0, 1_000_000),
    "REFUSED_DELIVERIES_PER_MINUTE": (0, 1_000_000),
    "NOTIFICATION_RETENTION_DAYS": (1, 36_500),
    "NOTIFICATION_MAX_AGE_MINUTES": (1, 10_080),
    "API_REQUESTS_PER_MINUTE": (0, 1_000_000),
    "METRICS_MAX_WORKFLOWS": (1, 5_000),
    "PORT": (1, 65_535),
    "WEB_CONCURRENCY": (1, 128),
    "WEB_THREADS": (1, 256),
    "GRACEFUL_TIMEOUT_SECONDS": (1, 3_600),
}

# Files in DATA_DIR with the values that `make run` generates for variables that are not set.
GENERATED_FILES = {
    "SECRET_KEY": "secret_key",
    "CIRCLECI_WEBHOOK_SECRETS": "circleci_webhook_secrets.json",
}


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


class EnvironmentReader(Env):
    """An environs reader that collects errors, reads ``NAME_FILE`` and treats an empty variable as not set."""

    def __init__(self) -> None:
        super().__init__(eager=False)
        self.add_parser("bind_address", parse_bind_address)
        self.add_parser("bounded_number", parse_number)
        self.add_parser("branches", parse_branches)
        self.add_parser("channel_plugins", parse_channel_plugins)
        self.add_parser("clock_time", parse_clock_time)
        self.add_parser("database_url", parse_database_url)
        self.add_parser("email_url", parse_email_url)
        self.add_parser("hosts", parse_hosts)
        self.add_parser("metrics_token", parse_metrics_token)
        self.add_parser("networks", parse_networks)
        self.add_parser("origins", parse_origins)
        self.add_parser("path_prefix", parse_path_prefix)
        self.add_parser("proxy_url", parse_proxy_url)
        self.add_parser("replica_url", parse_replica_url)
        self.add_parser("secret_keys", parse_secret_keys)
        self.add_parser("secrets", parse_secrets)
        self.add_parser("sender", parse_sender)
        self.add_parser("site_url", parse_site_url)
        self.source_errors: dict[str, list[str]] = {}
        self.file_values = self._read_env_file(os.environ.get("ENV_FILE") or "")
        self.data_dir = Path(self._get_value("DATA_DIR", BASE_DIR / "var")).resolve()

    def number(self, name: str, default: int) -> int:
        """Read a whole number within its BOUNDS."""
        return cast("int", self.bounded_number(name, default, bounds=BOUNDS[name]))

    def switch(self, name: str, *, default: bool) -> bool:
        """Read a boolean."""
        messages = {"invalid": "Must be true or false."}
        return cast("bool", self.bool(name, default, error_messages=messages))  # type: ignore[call-overload]

    def value(self, name: str) -> str:
        """Return a variable's text from the environment or the ``.env`` file; ``""`` if it is not set."""
        return os.environ.get(name) or self.file_values.get(name) or ""

    def is_set(self, name: str) -> bool:
        """Return whether a variable is set, directly or through ``NAME_FILE``."""
        return bool(self.value(name) or self.value(f"{name}_FILE"))

    def generated_file(self, name: str) -> Path:
        """Return the path of the file for a variable's generated value."""
        return self.data_dir / GENERATED_FILES[name]

    def create_data_dir(self) -> None:
        """Create DATA_DIR if it is missing; `seal` reports a folder that is not writable."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            error = "" if os.access(self.data_dir, os.W_OK | os.X_OK) else "Permission denied"
        except FileExistsError:
            error = "it is a file"
        except OSError as failure:
            error = _reason(failure)
        if error:
            self.source_errors["DATA_DIR"] = [f"Cannot write to the folder {self.data_dir}: {error}."]

    def check_sqlite_file(self, path: Path) -> None:
        """Record an error for `seal` to report if SQLite cannot open or create the file in DATABASE_URL."""
        try:
            error = "it is a folder" if path.is_dir() else ""
        except OSError as failure:
            error = _reason(failure)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            error = f"the folder {path.parent.resolve()} is missing or not writable by this user"
        if error and self.is_set("DATABASE_URL"):
            self.source_errors["DATABASE_URL"] = [f"SQLite cannot open {path}: {error}. Use sqlite:////absolute/path."]

    # environs' extension point for the source of a value. Its own FileAwareEnv overrides the same method, but keeps a
    # file's final newline, which would become part of a secret.
    def _get_value(self, env_key: str, default: Any) -> Any:
        value, path = self.value(env_key), self.value(f"{env_key}_FILE")
        if value and path:
            self.source_errors[env_key] = [f"Set {env_key} or {env_key}_FILE, not both."]
        if path and not value:
            value = self._read_file(env_key, path, f"the file that {env_key}_FILE names")
        elif not value and env_key in GENERATED_FILES and os.access(self.generated_file(env_key), os.F_OK):
            path = str(self.generated_file(env_key))
            value = self._read_file(env_key, path, path)
        if UNUSABLE.search(value):
            self.source_errors[env_key] = ["Must be UTF-8 without NUL."]
            return default
        return value or default

    def _read_file(self, env_key: str, path: str, description: str) -> str:
        """Return a file's content without its final newline; on failure, record an error and return "".

        The description must not contain the configured path: the path may be a secret, set as NAME_FILE by mistake.
        """
        try:
            value = Path(path).read_text(encoding="utf-8").removesuffix("\n")
            error = "" if value else "it is empty"
        except (OSError, UnicodeDecodeError) as failure:
            value, error = "", _reason(failure)
        if error:
            self.source_errors[env_key] = [f"Cannot read {description}: {error}."]
        return value

    def _read_env_file(self, path: str) -> dict[str, str | None]:
        try:
            with Path(path or BASE_DIR / ".env").open(encoding="utf-8") as file:
                # environs' own read_env would expand ${x} and thereby change secrets.
                return dotenv_values(stream=file, interpolate=False)
        except (OSError, UnicodeDecodeError) as error:
            if path or not isinstance(error, FileNotFoundError):
                self.source_errors["ENV_FILE"] = [f"Cannot read {path or '.env'}: {_reason(error)}. Fix or unset it."]
            return {}

    def seal(self) -> None:
        """Raise ImproperlyConfigured if any variables are invalid, with a line for each."""
        errors: dict[str, list[str]] = {}
        try:
            super().seal()
        except EnvValidationError as error:
            errors = cast("dict[str, list[str]]", error.error_messages)
        errors |= self.source_errors
        if errors:
            lines = [f"  {name}: {' '.join(map(str, messages))}" for name, messages in sorted(errors.items())]
            raise ImproperlyConfigured("\n".join(["Invalid environment variables, see docs/configuration.md:", *lines]))


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"


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
