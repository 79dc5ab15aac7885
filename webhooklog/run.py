"""Start webhooklog on a bare machine: ``make run`` calls this.

On the first start it generates what nobody has configured (a secret key, a webhook's secret, an admin account) and
keeps it below DATA_DIR. Then it hands its process over to gunicorn.
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

from webhooklog.env import BASE_DIR, Environment, EnvironmentReader, read_environment

WEBHOOK_NAME = "My CircleCI Webhook"
ADMIN_NAME = "admin"


def main() -> None:
    """Prepare what is missing, say where everything is, and serve."""
    os.umask(0o077)  # The database holds payloads, which are nobody else's business.
    try:
        reader = EnvironmentReader()
        # Absolute from now on, since gunicorn runs in the project's own folder.
        os.environ["DATA_DIR"] = str(reader.data_dir)
        generate_missing(reader)
        environment = read_environment()
        prepare_database()
        password = create_first_admin()
    except DatabaseError as error:
        sys.exit(f"webhooklog cannot start: the database of DATABASE_URL (default: SQLite in DATA_DIR) failed: {error}")
    except (ImproperlyConfigured, OSError) as error:
        sys.exit(f"webhooklog cannot start: {error}")
    print(banner(environment, reader, password), flush=True)  # noqa: T201 - a command's words to its user
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", str(BASE_DIR / "docker" / "gunicorn.conf.py")]
    os.environ["WEB_CONCURRENCY"] = str(environment.web_concurrency)  # gunicorn fails on an empty value.
    os.chdir(BASE_DIR)
    os.execv(sys.executable, [*gunicorn, "webhooklog.wsgi"])  # noqa: S606 - nothing of it comes from outside


def generate_missing(reader: EnvironmentReader) -> None:
    """Generate and keep the secret key and one webhook's secret, unless they are configured or kept already."""
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
    """Write a file that only its owner may read; it appears whole or not at all, and never in place of another."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
        os.link(unfinished, path)
    finally:
        Path(unfinished).unlink()


def prepare_database() -> None:
    """Bring the tables up to date."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooklog.settings")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)


def create_first_admin() -> str | None:
    """Make an admin account with a generated password and return that; None where there is an account already."""
    users = get_user_model()._default_manager
    if users.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(username=ADMIN_NAME, password=password)
    return password


def banner(environment: Environment, reader: EnvironmentReader, password: str | None) -> str:
    """Return what the person who has just started webhooklog needs next."""
    everywhere = environment.bind_address in ("0.0.0.0", "::")  # noqa: S104 - only compared
    host = "127.0.0.1" if everywhere else environment.bind_address
    site = f"http://{f'[{host}]' if ':' in host else host}:{environment.port}{environment.script_name}"
    account = f"{ADMIN_NAME} / {password}  (shown this once)" if password else "your account"
    secret = environment.circleci_webhook_secrets.get(WEBHOOK_NAME)
    if reader.is_set("CIRCLECI_WEBHOOK_SECRETS") or not isinstance(secret, str):
        secret = "as you have configured it"  # noqa: S105 - words
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
