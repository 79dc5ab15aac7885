"""Read environment variables from their sources, and collect all errors.

A variable ``NAME`` may also come from the file that ``NAME_FILE`` names, such as a Docker secret, or from a ``.env``
file. An empty variable counts as not set.
"""

import os
from pathlib import Path
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values
from environs import Env, EnvValidationError

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
    parse_database_url,
    parse_email_url,
    parse_origins,
    parse_proxy_url,
    parse_replica_url,
    parse_site_url,
)

BASE_DIR = Path(__file__).resolve().parent.parent

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
