"""Read every environment variable, typed, and report all errors at once.

A variable ``NAME`` may also come from the file named by ``NAME_FILE`` (a Docker secret, say), and from a ``.env`` file.
An empty variable counts as not set. ``docs/configuration.md`` lists all of them; a test compares the two.
"""

import os
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values
from environs import Env, EnvValidationError, validate

from webhooklog.parsers import parse_networks, parse_origins, parse_path_prefix, parse_secrets

BASE_DIR = Path(__file__).resolve().parent.parent
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS = ("line", "json")

# What `make run` generates and keeps below DATA_DIR, for variables that nobody has set.
GENERATED_FILES = {
    "SECRET_KEY": "secret_key",
    "CIRCLECI_WEBHOOK_SECRETS": "circleci_webhook_secrets.json",
}


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Every variable that configures webhooklog, in the order of ``docs/configuration.md``."""

    secret_key: str = field(repr=False)
    debug: bool
    allowed_hosts: list[str]
    https_only: bool  # The site is reached through a proxy that ends TLS.
    script_name: str  # The path that the whole site is below, "/ci" for example; "" where it is at the root.
    trusted_proxies: list[IPv4Network | IPv6Network]
    public_read: bool  # Everybody may read the list, without signing in.
    cors_allowed_origins: list[str]  # Whose pages may read by the API in a browser.
    circleci_webhook_secrets: dict[str, Any] = field(repr=False)
    default_branches: list[str]  # What fails there is broken for everybody.
    data_dir: Path
    static_root: Path | None  # Where `collectstatic` puts files; None serves them from the packages themselves.
    database_url: dict[str, Any] = field(repr=False)  # As an entry of Django's DATABASES.
    database_pool_size: int  # 0: one persistent connection for each thread instead of a pool.
    max_body_bytes: int
    delivery_retention_days: int  # 0: for ever.
    delivery_retention_count: int  # 0: any number.
    event_retention_days: int  # 0: for ever.
    refused_body_max_bytes: int
    refused_deliveries_max: int
    refused_deliveries_per_minute: int  # For each client address.
    api_requests_per_minute: int  # For each token, user or address; 0: any number.
    log_level: str
    log_format: str
    bind_address: str
    port: int
    web_concurrency: int  # Worker processes.
    web_threads: int  # For each worker process.
    graceful_timeout_seconds: int


class EnvironmentReader(Env):
    """An environs reader that collects errors, follows ``NAME_FILE`` and takes an empty variable for a missing one."""

    def __init__(self) -> None:
        super().__init__(eager=False)
        # Not environs' own read_env, which replaces ${x} and so changes secrets.
        self.file_values = dotenv_values(os.environ.get("ENV_FILE") or BASE_DIR / ".env", interpolate=False)
        self.data_dir = Path(self.value("DATA_DIR") or BASE_DIR / "var").resolve()
        self.file_errors: dict[str, list[str]] = {}

    def value(self, name: str) -> str:
        """Return a variable as it stands in the environment or the ``.env`` file; ``""`` where it is not set."""
        return os.environ.get(name) or self.file_values.get(name) or ""

    def is_set(self, name: str) -> bool:
        """Tell whether somebody has set a variable, directly or by its file."""
        return bool(self.value(name) or self.value(f"{name}_FILE"))

    def generated_file(self, name: str) -> Path:
        """Return where the generated value of a variable is kept."""
        return self.data_dir / GENERATED_FILES[name]

    # environs' own extension point for where a value comes from (its FileAwareEnv overrides the same method, but keeps
    # a file's last newline, which would become part of the secret).
    def _get_value(self, env_key: str, default: Any) -> Any:
        value, path = self.value(env_key), self.value(f"{env_key}_FILE")
        if value and path:
            self.file_errors[env_key] = [f"Set {env_key} or {env_key}_FILE, not both."]
        if value:
            return value
        if not path and env_key in GENERATED_FILES and self.generated_file(env_key).exists():
            path = str(self.generated_file(env_key))
        return self._read_file(env_key, path) or default if path else default

    def _read_file(self, env_key: str, path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            self.file_errors[env_key] = [f"The file {path} of {env_key}_FILE cannot be read: {error}."]
            return ""

    def seal(self) -> None:
        """Raise ImproperlyConfigured, with a line for each error, unless every variable was read without one."""
        errors: dict[str, list[str]] = {}
        try:
            super().seal()
        except EnvValidationError as error:
            errors = cast("dict[str, list[str]]", error.error_messages)
        errors |= self.file_errors
        if errors:
            lines = [f"  {name}: {' '.join(map(str, messages))}" for name, messages in sorted(errors.items())]
            raise ImproperlyConfigured(
                "These environment variables are not as they must be (docs/configuration.md tells how):\n"
                + "\n".join(lines)
            )


def _without_blanks(entries: list[str] | None) -> list[str]:
    return [entry.strip() for entry in entries or [] if entry.strip()]


def read_environment() -> Environment:
    """Return all variables.

    Raises:
        ImproperlyConfigured: one or more are missing or not of their type; the message has a line for each.
    """
    env = EnvironmentReader()
    env.add_parser("secrets", parse_secrets)
    env.add_parser("networks", parse_networks)
    env.add_parser("origins", parse_origins)
    env.add_parser("path_prefix", parse_path_prefix)
    at_least = {number: validate.Range(min=number) for number in (0, 1)}
    sqlite_url = f"sqlite:///{quote(str(env.data_dir / 'webhooklog.sqlite3'))}"
    environment = Environment(
        secret_key=env.str("SECRET_KEY"),
        debug=env.bool("DEBUG", False),
        allowed_hosts=_without_blanks(env.list("ALLOWED_HOSTS", [])),
        https_only=env.bool("HTTPS_ONLY", False),
        script_name=env.path_prefix("SCRIPT_NAME", ""),
        trusted_proxies=env.networks("TRUSTED_PROXIES", ""),
        public_read=env.bool("PUBLIC_READ", False),
        cors_allowed_origins=env.origins("CORS_ALLOWED_ORIGINS", ""),
        circleci_webhook_secrets=env.secrets("CIRCLECI_WEBHOOK_SECRETS", "{}"),
        default_branches=_without_blanks(env.list("DEFAULT_BRANCHES", ["main", "master"])),
        data_dir=env.data_dir,
        static_root=env.path("STATIC_ROOT", None),
        database_url=env.dj_db_url("DATABASE_URL", sqlite_url),
        database_pool_size=env.int("DATABASE_POOL_SIZE", 0, validate=at_least[0]),
        max_body_bytes=env.int("MAX_BODY_BYTES", 1_048_576, validate=at_least[1]),
        delivery_retention_days=env.int("DELIVERY_RETENTION_DAYS", 90, validate=at_least[0]),
        delivery_retention_count=env.int("DELIVERY_RETENTION_COUNT", 0, validate=at_least[0]),
        event_retention_days=env.int("EVENT_RETENTION_DAYS", 0, validate=at_least[0]),
        refused_body_max_bytes=env.int("REFUSED_BODY_MAX_BYTES", 65_536, validate=at_least[0]),
        refused_deliveries_max=env.int("REFUSED_DELIVERIES_MAX", 1_000, validate=at_least[0]),
        refused_deliveries_per_minute=env.int("REFUSED_DELIVERIES_PER_MINUTE", 60, validate=at_least[0]),
        api_requests_per_minute=env.int("API_REQUESTS_PER_MINUTE", 600, validate=at_least[0]),
        log_level=env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(LOG_LEVELS)),
        log_format=env.str("LOG_FORMAT", "line", validate=validate.OneOf(LOG_FORMATS)),
        bind_address=env.str("BIND_ADDRESS", "127.0.0.1"),
        port=env.int("PORT", 8000, validate=validate.Range(min=1, max=65_535)),
        web_concurrency=env.int("WEB_CONCURRENCY", 2, validate=at_least[1]),
        web_threads=env.int("WEB_THREADS", 8, validate=at_least[1]),
        graceful_timeout_seconds=env.int("GRACEFUL_TIMEOUT_SECONDS", 30, validate=at_least[1]),
    )
    env.seal()
    return environment
