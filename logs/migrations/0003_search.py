"""The indexes of the full-text search (logs/models/search.py); SQLite's is a table of its own, kept by triggers."""

from django.db import migrations

POSTGRESQL = [
    """
    CREATE INDEX event_search ON logs_workflowevent USING gin (to_tsvector('simple', translate(
        commit_subject || ' ' || branch || ' ' || author || ' ' || workflow || ' ' || job, '_-/.:@#+~=&', '           '
    )))
    """,
]

COLUMNS = "commit_subject, branch, author, workflow, job"
NEW = "new.id, new.commit_subject, new.branch, new.author, new.workflow, new.job"
OLD = NEW.replace("new.", "old.")
ADD = f"INSERT INTO logs_workflowevent_search (rowid, {COLUMNS}) VALUES ({NEW});"
REMOVE = f"INSERT INTO logs_workflowevent_search (logs_workflowevent_search, rowid, {COLUMNS}) VALUES ('delete', {OLD});"
SQLITE = [
    f"""
    CREATE VIRTUAL TABLE logs_workflowevent_search USING fts5({COLUMNS}, content='logs_workflowevent',
        content_rowid='id', tokenize='unicode61 remove_diacritics 0', detail='none', columnsize=0)
    """,
    f"CREATE TRIGGER event_search_add AFTER INSERT ON logs_workflowevent BEGIN {ADD} END",
    f"CREATE TRIGGER event_search_remove AFTER DELETE ON logs_workflowevent BEGIN {REMOVE} END",
    f"CREATE TRIGGER event_search_change AFTER UPDATE OF {COLUMNS} ON logs_workflowevent BEGIN {REMOVE} {ADD} END",
    "INSERT INTO logs_workflowevent_search (logs_workflowevent_search) VALUES ('rebuild')",
]

BACKWARDS = {
    "postgresql": ["DROP INDEX event_search"],
    "sqlite": [
        *(f"DROP TRIGGER event_search_{change}" for change in ("add", "remove", "change")),
        "DROP TABLE logs_workflowevent_search",
    ],
}


def forwards(apps, schema_editor):
    for statement in {"postgresql": POSTGRESQL, "sqlite": SQLITE}[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def backwards(apps, schema_editor):
    for statement in BACKWARDS[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("logs", "0002_reading")]
    operations = [migrations.RunPython(forwards, backwards)]
