"""What probes learn."""

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader


def test_healthz_touches_nothing(client, settings):
    # No database fixture: a query would be an error here.
    settings.ALLOWED_HOSTS = []
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/healthz", headers={"host": "10.1.2.3:8000"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readyz_is_green_on_a_migrated_database(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


@pytest.mark.django_db(transaction=True)
def test_readyz_names_missing_migrations(client):
    call_command("migrate", "logs", "zero", verbosity=0)
    try:
        answer = client.get("/readyz")
    finally:
        call_command("migrate", "logs", verbosity=0)
    assert answer.status_code == 503
    count = sum(app == "logs" for app, _ in MigrationLoader(connection).disk_migrations)
    assert answer.json() == {
        "status": "unready",
        "detail": f"{count} migrations are not applied; run `manage.py migrate`",
    }


@pytest.mark.django_db
def test_readyz_is_red_on_a_database_that_takes_no_event(client):
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL's stand-by servers")
    with connection.cursor() as cursor:
        cursor.execute("SET transaction_read_only = on")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the database is read-only; see DATABASE_URL")


def test_readyz_says_that_the_database_is_away_but_not_where_it_is(client, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OperationalError("connection to db.internal refused for user webhooklog")

    monkeypatch.setattr(connection, "cursor", unreachable)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the database cannot be reached; see DATABASE_URL"
