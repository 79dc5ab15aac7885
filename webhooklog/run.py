"""Set up and start webhooklog; ``make run`` calls this.

On the first start, generate an admin account and, unless they are configured, a secret key and a webhook's secret in
DATA_DIR. Then replace this process with gunicorn.
"""

import json
import os
import secrets
import shlex
import sys
import tempfile
from pathlib import Path

import django
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError

from webhooklog.env import Environment, read_environment
from webhooklog.env_reader import BASE_DIR, EnvironmentReader

WEBHOOK_NAME = "My CircleCI Webhook"
ADMIN_NAME = "admin"


def main() -> None:
    """Generate missing values, print the URLs and secrets, and start the server."""
    os.umask(0o077)  # Only the owner may read the database, which holds payloads.
    try:
        reader = EnvironmentReader()
        # Absolute, because gunicorn runs in the project's folder.
        os.environ["DATA_DIR"] = str(reader.data_dir)
        generate_missing(reader)
        environment = read_environment()
        prepare_database()
        password = create_first_admin()
    except DatabaseError as error:
        sys.exit(f"webhooklog cannot start: the database of DATABASE_URL (default: SQLite in DATA_DIR) failed: {error}")
    except (ImproperlyConfigured, OSError) as error:
        sys.exit(f"webhooklog cannot start: {error}")
    print(banner(environment, reader, password), flush=True)  # noqa: T201 - a command's output
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", str(BASE_DIR / "docker" / "gunicorn.conf.py")]
    os.environ["WEB_CONCURRENCY"] = str(environment.web_concurrency)  # gunicorn fails on an empty value.
    os.chdir(BASE_DIR)
    os.execv(sys.executable, [*gunicorn, "webhooklog.asgi:application"])  # noqa: S606 - no outside input


def generate_missing(reader: EnvironmentReader) -> None:
    """Generate and store the secret key and one webhook's secret, unless they are configured or already stored."""
    reader.create_data_dir()
    reader.seal()
    generated = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "CIRCLECI_WEBHOOK_SECRETS": json.dumps({WEBHOOK_NAME: secrets.token_hex(32)}),
    }
    for name, value in generated.items():
        path = reader.generated_file(name)
        if not reader.is_set(name) and not path.exists():
            write_privately(path, value)


def write_privately(path: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner; an existing file is an error."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
        os.link(unfinished, path)
    finally:
        Path(unfinished).unlink()


def prepare_database() -> None:
    """Migrate the database."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooklog.settings")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)


def create_first_admin() -> str | None:
    """Create an admin account and return its generated password; None if an admin account already exists."""
    users = get_user_model()._default_manager
    if users.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(username=ADMIN_NAME, password=password)
    return password


def banner(environment: Environment, reader: EnvironmentReader, password: str | None) -> str:
    """Return the URLs, the account and the secret that the operator needs next."""
    everywhere = environment.bind_address in ("0.0.0.0", "::")  # noqa: S104 - only compared
    host = "127.0.0.1" if everywhere else environment.bind_address
    site = f"http://{f'[{host}]' if ':' in host else host}:{environment.port}{environment.script_name}"
    account = f"{ADMIN_NAME} / {password}  (shown this once)" if password else "your account"
    secret = environment.circleci_webhook_secrets.get(WEBHOOK_NAME)
    if reader.is_set("CIRCLECI_WEBHOOK_SECRETS") or not isinstance(secret, str):
        secret = "as configured"  # noqa: S105 - not a secret
    receiving_url = f"{site}/log-circleci-webhook"
    lines = {
        "Receiving URL": receiving_url,
        "Secret token": secret,
        "Admin": f"{site}/admin/   {account}",
        "Try it": trial_command(receiving_url),
    }
    return "\n".join(["", *(f"  {name:<14} {value}" for name, value in lines.items()), ""])


def trial_command(receiving_url: str) -> str:
    """Return the command that sends a test webhook from the project's folder in another terminal."""
    python = Path(sys.executable)
    if python.is_relative_to(BASE_DIR):
        python = python.relative_to(BASE_DIR)
    variables = {"ENV_FILE": os.environ.get("ENV_FILE"), "DATA_DIR": os.environ.get("DATA_DIR")}
    unusual = {name: value for name, value in variables.items() if value and Path(value) != BASE_DIR / "var"}
    assignments = [f"{name}={shlex.quote(value)}" for name, value in unusual.items()]
    return " ".join([*assignments, shlex.join([str(python), "manage.py", "send_test_webhook", receiving_url])])


if __name__ == "__main__":
    main()
