"""Fill PostgreSQL with a long log, made by the server itself: a pipeline every few seconds over half a year.

A pipeline has one workflow and four jobs. Some projects, workflows and branches have far more of them than others: 200
projects, 2,000 workflows, main and 50,000 branches, 500 authors; 3 % of the runs fail. Of the newest events, deliveries
are kept too.
"""

import time
from contextlib import contextmanager

import psycopg

DAYS = 180
EVENTS_OF_A_PIPELINE = 5
DELIVERIES = 100_000
REFUSED = 1_000

_EVENTS = """
INSERT INTO logs_workflowevent (
    event_id, event_type, happened_at, stopped_at, name, project, project_slug, project_id, organization, workflow,
    workflow_id, job, job_number, status, branch, tag, revision, commit_subject, author, pipeline_id, pipeline_number,
    trigger, duration_seconds, url, received_at, verified, changed_at
)
SELECT
    md5('event ' || n || ' ' || part)::uuid::text,
    CASE WHEN part = 4 THEN 'workflow-completed' ELSE 'job-completed' END,
    moment, moment, 'My CircleCI Webhook',
    'project-' || project, 'github/acme/project-' || project, md5('project ' || project)::uuid::text, 'acme',
    'workflow-' || workflow, md5('workflow ' || n)::uuid::text,
    CASE WHEN part = 4 THEN '' ELSE 'job-' || part END, CASE WHEN part < 4 THEN n * 5 + part END,
    CASE WHEN is_failed AND part >= 3 THEN 'failed' ELSE 'success' END,
    branch, '', md5('commit ' || n) || '00000000',
    'Change ' || n || ' of the ' || (ARRAY['orchard', 'harbour', 'tide'])[1 + n %% 3],
    'Author ' || author, md5('pipeline ' || n)::uuid::text, n, 'webhook', seconds * (1 + part) / 5,
    'https://app.circleci.com/pipelines/' || n, moment + interval '1 second', true, moment + interval '1 second'
FROM (
    SELECT
        n,
        floor(200 * power(random(), 2))::int AS project,
        floor(10 * power(random(), 2))::int AS workflow,
        CASE WHEN random() < 0.4 THEN 'main' ELSE 'feature/' || floor(50000 * power(random(), 2))::int END AS branch,
        floor(500 * power(random(), 2))::int AS author,
        random() < 0.03 AS is_failed,
        30 + 3000 * power(random(), 4) AS seconds,
        now() - (%(pipelines)s - n) * interval '%(days)s days' / %(pipelines)s AS moment
    FROM generate_series(1, %(pipelines)s) AS n
) AS pipeline CROSS JOIN generate_series(0, 4) AS part
ORDER BY n, part
"""

_DELIVERIES = """
INSERT INTO logs_delivery (
    received_at, judged_at, outcome, reason, webhook, verified, secret_position, webhook_slug, plausible, headers,
    client_address, body, event_id
)
SELECT
    received_at, received_at, 'logged', '', name, true, 0, '', true,
    '{"content-type": "application/json", "circleci-event-type": "workflow-completed", "circleci-signature": "v1=00"}',
    '192.0.2.7',
    convert_to(json_build_object(
        'id', event_id, 'type', event_type, 'happened_at', happened_at, 'project', json_build_object('name', project),
        'workflow', json_build_object('id', workflow_id, 'name', workflow, 'status', status, 'url', url),
        'pipeline', json_build_object('id', pipeline_id, 'number', pipeline_number, 'note', repeat('note ', 200))
    )::text, 'UTF8'),
    id
FROM logs_workflowevent
WHERE id > (SELECT max(id) FROM logs_workflowevent) - %(deliveries)s
ORDER BY id
"""

_REFUSED = """
INSERT INTO logs_delivery (
    received_at, judged_at, outcome, reason, webhook, verified, secret_position, webhook_slug, plausible, headers,
    client_address, body
)
SELECT
    moment, moment, outcome, 'refused for reason ' || n %% 7, '', false, NULL, '', true, '{}', '192.0.2.8', 'nothing'
FROM (
    SELECT n, now() - (%(refused)s - n) * interval '1 minute' AS moment,
        (ARRAY['unverified', 'malformed', 'rejected'])[1 + n %% 3] AS outcome
    FROM generate_series(1, %(refused)s) AS n
) AS arrival
ORDER BY n
"""


def fill(url, events):
    """Insert so many events, and deliveries of the newest; return the seconds it took."""
    started = time.monotonic()
    pipelines = events // EVENTS_OF_A_PIPELINE
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '1GB'")
        with _without_indexes(connection, "logs_workflowevent"):
            connection.execute(_written(_EVENTS, pipelines=pipelines, days=DAYS))
        connection.execute(_written(_DELIVERIES, deliveries=min(DELIVERIES, events)))
        connection.execute(_written(_REFUSED, refused=REFUSED))
        connection.execute("VACUUM ANALYZE")
    return time.monotonic() - started


def _written(sql, **numbers):
    """Return a statement with numbers of ours in it; the server cannot be given them within an interval."""
    return sql % numbers


@contextmanager
def _without_indexes(connection, table):
    """Drop the indexes that no constraint needs, and make them again: one by one, that is many times faster."""
    rows = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = %s::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
        [table],
    ).fetchall()
    for name, _ in rows:
        connection.execute(f"DROP INDEX {name}")
    yield
    for _, definition in rows:
        connection.execute(definition)
