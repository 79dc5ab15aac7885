"""Fill PostgreSQL with a long log, made by the server itself: a pipeline every few seconds over half a year.

A pipeline has one workflow and four jobs. Some projects, workflows and branches have far more of them than others: 200
projects, 2,000 workflows, main and 50,000 branches, 500 authors; 3 % of the runs fail. Of the newest events, deliveries
are kept too.

The statements are the same for SQLite (`tests.load.filling_sqlite`). What the databases spell differently is a function
that each of them is given first: `skewed`, `ago`, `uuid_of` and `bytes_of`.
"""

import time
from contextlib import contextmanager

import psycopg

DAYS = 180
EVENTS_OF_A_PIPELINE = 5
DELIVERIES = 100_000
REFUSED = 1_000
PART = 100_000  # How many rows a statement inserts: sorted in memory, and told of by a progress bar.

# Words in the subject of so many pipelines, however long the log is; orchard, harbour and tide are in a third each.
PIPELINES_OF_COMET = 4
PIPELINES_OF_LANTERN = 600

_FUNCTIONS = """
CREATE FUNCTION skewed(below integer) RETURNS integer LANGUAGE sql RETURN floor(below * power(random(), 2))::integer;
CREATE FUNCTION ago(seconds numeric) RETURNS timestamptz LANGUAGE sql RETURN now() - seconds * interval '1 second';
CREATE FUNCTION uuid_of(words text) RETURNS text LANGUAGE sql RETURN md5(words)::uuid::text;
CREATE FUNCTION bytes_of(words text) RETURNS bytea LANGUAGE sql RETURN convert_to(words, 'UTF8');
"""

# Of the pipelines {after} + 1 to {last}. The chances of a pipeline are taken once, not once for each of its events.
EVENTS = """
INSERT INTO logs_workflowevent (
    event_id, event_type, happened_at, stopped_at, name, project, project_slug, project_id, organization, workflow,
    workflow_id, job, job_number, status, branch, tag, revision, commit_subject, author, pipeline_id, pipeline_number,
    trigger, duration_seconds, url, received_at, verified, changed_at
)
WITH RECURSIVE number (n) AS (SELECT {after} + 1 UNION ALL SELECT n + 1 FROM number WHERE n < {last}),
part (part) AS (VALUES (0), (1), (2), (3), (4)),
pipeline AS MATERIALIZED (
    SELECT
        n,
        skewed(200) AS project,
        skewed(10) AS workflow,
        CASE WHEN random() < 0.4 THEN 'main' ELSE 'feature/' || skewed(50000) END AS branch,
        CASE WHEN n % 50 = 0 THEN 'v' || n ELSE '' END AS tag,
        CASE n % 3 WHEN 0 THEN 'orchard' WHEN 1 THEN 'harbour' ELSE 'tide' END
            || CASE WHEN n % {comet} = 0 THEN ' comet' ELSE '' END
            || CASE WHEN n % {lantern} = 0 THEN ' lantern' ELSE '' END AS words,
        skewed(500) AS author,
        random() < 0.03 AS is_failed,
        CASE WHEN n % 20 = 0 THEN 'api' ELSE 'webhook' END AS trigger,
        30 + 3000 * random() * random() * random() AS seconds,
        ({pipelines} - n) * {days} * 86400.0 / {pipelines} AS age
    FROM number
)
SELECT
    uuid_of('event ' || n || ' ' || part),
    CASE WHEN part = 4 THEN 'workflow-completed' ELSE 'job-completed' END,
    ago(age + 1), ago(age + 1), 'My CircleCI Webhook',
    'project-' || project, 'github/acme/project-' || project, uuid_of('project ' || project), 'acme',
    'workflow-' || workflow, uuid_of('workflow ' || n),
    CASE WHEN part = 4 THEN '' ELSE 'job-' || part END, CASE WHEN part < 4 THEN n * 5 + part END,
    CASE WHEN is_failed AND part >= 3 THEN 'failed' ELSE 'success' END,
    branch, tag, md5('commit ' || n) || '00000000',
    'Change ' || n || ' of the ' || words,
    'Author ' || author, uuid_of('pipeline ' || n), n, trigger, seconds * (1 + part) / 5,
    'https://app.circleci.com/pipelines/' || n, ago(age), true, ago(age)
FROM pipeline CROSS JOIN part
ORDER BY n, part
"""

# Of the events {after} + 1 to {last}.
DELIVERIES_OF_EVENTS = """
INSERT INTO logs_delivery (
    received_at, judged_at, outcome, reason, webhook, verified, secret_fingerprint, project_slug, webhook_slug,
    plausible, headers, client_address, body, event_id
)
SELECT
    received_at, received_at,
    CASE WHEN id % 100 = 0 THEN 'duplicate' WHEN id % 100 = 1 THEN 'updated' ELSE 'logged' END,
    '', name, true, '0a1b2c3d', project_slug, '', true,
    '{{"content-type": "application/json", "circleci-event-type": "job-completed", "circleci-signature": "v1=00"}}',
    '192.0.2.7',
    bytes_of(
        '{{"id": "' || event_id || '", "type": "' || event_type || '", "happened_at": "' || happened_at
        || '", "project": {{"name": "' || project || '"}}, "workflow": {{"id": "' || workflow_id || '", "name": "'
        || workflow || '", "status": "' || status || '", "url": "' || url || '"}}, "pipeline": {{"id": "' || pipeline_id
        || '", "number": ' || pipeline_number || ', "note": "{note}"}}}}'
    ),
    id
FROM logs_workflowevent
WHERE id > {after} AND id <= {last}
ORDER BY id
"""
NOTE = "note " * 50

REFUSED_DELIVERIES = """
INSERT INTO logs_delivery (
    received_at, judged_at, outcome, reason, webhook, verified, secret_fingerprint, project_slug, webhook_slug,
    plausible, headers, client_address, body
)
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {refused})
SELECT
    ago(({refused} - n) * 60.0), ago(({refused} - n) * 60.0),
    CASE n % 3 WHEN 0 THEN 'unverified' WHEN 1 THEN 'malformed' ELSE 'rejected' END,
    'refused for reason ' || n % 7, '', false, NULL, '', '', true, '{{}}', '192.0.2.8', bytes_of('nothing')
FROM number
ORDER BY n
"""


def fill(url, events, *, deliveries=DELIVERIES, tell=lambda _: None):
    """Insert so many events, and deliveries of the newest; return the seconds it took.

    Args:
        url: of an empty database.
        events: how many.
        deliveries: of how many of them.
        tell: called with a few words on what goes on.
    """
    started = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        # Chance too is the same each time.
        connection.execute("SET maintenance_work_mem = '1GB'; SET work_mem = '256MB'; SELECT setseed(0.5)")
        connection.execute(_FUNCTIONS)
        with _without_indexes(connection, "logs_workflowevent", tell):
            run_all(event_statements(events), connection.execute, tell)
        run_all(delivery_statements(events, deliveries), connection.execute, tell)
    settle(url)
    return time.monotonic() - started


def settle(url):
    """Have the server do now what it would do while somebody measures: look over its rows, and write to the disk."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def event_statements(events):
    """Return the statements that insert the events, the oldest first; each is a few words and its SQL."""
    pipelines = events // EVENTS_OF_A_PIPELINE
    steps = {"comet": PIPELINES_OF_COMET, "lantern": PIPELINES_OF_LANTERN}
    numbers = {name: max(1, pipelines // count) for name, count in steps.items()}
    return [
        (
            f"{last * EVENTS_OF_A_PIPELINE:,} of {events:,} events",
            EVENTS.format(after=after, last=last, pipelines=pipelines, days=DAYS, **numbers),
        )
        for after, last in _parts(0, pipelines, PART // EVENTS_OF_A_PIPELINE)
    ]


def delivery_statements(events, deliveries):
    """Return the statements that insert deliveries of the newest events, and refused ones."""
    deliveries = min(deliveries, events)
    first = events - deliveries
    return [
        *(
            (
                f"{last - first:,} of {deliveries:,} deliveries",
                DELIVERIES_OF_EVENTS.format(after=after, last=last, note=NOTE),
            )
            for after, last in _parts(first, events, PART)
        ),
        ("refused deliveries", REFUSED_DELIVERIES.format(refused=REFUSED)),
    ]


def run_all(statements, execute, tell):
    """Execute statements one by one."""
    for words, sql in statements:
        tell(words)
        execute(sql)


def _parts(after, last, size):
    """Return the bounds of parts of at most so many numbers."""
    return [(start, min(start + size, last)) for start in range(after, last, size)]


@contextmanager
def _without_indexes(connection, table, tell):
    """Drop the indexes that no constraint needs, and make them again: one by one, that is many times faster."""
    rows = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = %s::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
        [table],
    ).fetchall()
    for name, _ in rows:
        connection.execute(f"DROP INDEX {name}")
    yield
    for name, definition in rows:
        tell(f"index {name}")
        connection.execute(definition)
