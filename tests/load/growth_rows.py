"""What `tests.load.bench_growth` asks for: addresses, in which {names} are filled in anew for each request."""

from tests.load.bench_admin import PAGES
from tests.load.filling import EVENTS_OF_A_PIPELINE
from tests.load.filling_sqlite import md5, uuid_of

EVENTS, DELIVERIES = "/fetch-webhooks-logs", "/deliveries"
STREAM = f"{DELIVERIES}/stream?wait=0"

# Each filter, a value with many events (or with all there are of a pipeline), and one without any. Of many, the first
# 50 make a page in both logs: else the longer log's page would take longer because there is more on it.
# fmt: off
EVENT_FILTERS = [
    ("project",         "project-0",            "none"),
    ("project",         "github/acme/project-0", "github/acme/none"),
    ("project",         uuid_of("project 0"),   uuid_of("none")),
    ("organization",    "acme",                 "none"),
    ("workflow",        "workflow-0",           "none"),
    ("job",             "job-3",                "none"),
    ("status",          "failed",               "none"),
    ("status",          "failed,error",         "none,nothing"),
    ("status",          "success,failed",       None),
    ("event_type",      "workflow-completed",   "none"),
    ("branch",          "main",                 "none"),
    ("tag",             "{tag}",                "none"),
    ("revision",        "{commit}",             "ffffffffff"),
    ("author",          "Author+0",             "none"),
    ("webhook",         "My+CircleCI+Webhook",  "none"),
    ("pipeline",        "{pipeline}",           "999999999999"),
    ("workflow_id",     "{workflow_id}",        "none"),
    ("pipeline_id",     "{pipeline_id}",        "none"),
    ("trigger",         "api",                  "none"),
    ("happened_after",  "90d",                  "2100-01-01T00:00:00Z"),
    ("happened_before", "90d",                  "2000-01-01T00:00:00Z"),
    ("received_after",  "90d",                  "2100-01-01T00:00:00Z"),
    ("received_before", "90d",                  "2000-01-01T00:00:00Z"),
    ("min_duration",    "600",                  "1000000"),
    ("max_duration",    "60",                   "0"),
    ("verified",        "true",                 "false"),
    ("q",               "orchard",              "submarine"),
]

DELIVERY_FILTERS = [
    ("outcome",         "logged",               "expired"),
    ("outcome",         "duplicate,updated",    "expired,forbidden"),
    ("outcome",         "logged,duplicate",     None),
    ("project",         "project-0",            "none"),
    ("workflow",        "workflow-0",           "none"),
    ("branch",          "main",                 "none"),
    ("status",          "failed",               "failing,on_hold"),
    ("pipeline",        "{pipeline}",           "999999999"),
    ("revision",        "{commit}",             "ffffffffffffffff"),
    ("webhook",         "My+CircleCI+Webhook",  "none"),
    ("address",         "my-circleci-webhook",  "none"),
    ("verified",        "true",                 None),  # Some refused ones are not.
    ("verified",        "false",                None),
    ("event",           "{event_id}",           "none"),
    ("received_after",  "45d",                  "2100-01-01T00:00:00Z"),
    ("received_before", "45d",                  "2000-01-01T00:00:00Z"),
]
OUTCOMES = ("updated", "duplicate", "unverified", "malformed", "rejected")

OTHERS = {
    "events, first page":                              EVENTS,
    "events, first page of 500":                       f"{EVENTS}?limit=500",
    "events, deep inside":                             f"{EVENTS}?cursor={{deep}}",
    "events, deep inside, failed":                     f"{EVENTS}?status=failed&cursor={{deep}}",
    "events, as CSV":                                  f"{EVENTS}?limit=500&format=csv",
    "events, the longest first":                       f"{EVENTS}?ordering=-duration",
    "events, the longest first, deep inside":          f"{EVENTS}?ordering=-duration&cursor={{deep_duration}}",
    "events, as they happened":                        f"{EVENTS}?ordering=-happened_at",
    "events, as they happened, deep inside":           f"{EVENTS}?ordering=-happened_at&cursor={{deep_happened_at}}",
    "events, revision by its first four letters":      f"{EVENTS}?revision={{short_commit}}",
    "events, failed, of a project":                    f"{EVENTS}?status=failed&project=project-0",
    "failed events of a project on main":              f"{EVENTS}?status=failed&project=project-0&branch=main",
    "events, failed, of a rare project":               f"{EVENTS}?status=failed&project=project-190",
    "events, of an author and a job":                  f"{EVENTS}?author=Author+0&job=job-3",
    "events, of a workflow, 90 days ago":              f"{EVENTS}?workflow=workflow-0&received_before=90d",
    "events, failed, between 90 and 60 days ago":      f"{EVENTS}?status=failed&received_after=90d&received_before=60d",
    "events, long and failed":                         f"{EVENTS}?status=failed&min_duration=300",
    "events, of a project, the longest first":         f"{EVENTS}?project=project-0&ordering=-duration",
    "events, of a branch without the job":             f"{EVENTS}?branch=main&job=none",
    "events, of a project without the trigger":        f"{EVENTS}?project=project-0&trigger=none",
    "events, of a rare project without the trigger":   f"{EVENTS}?project=project-190&trigger=none",
    "events, words that 20 hold":                      f"{EVENTS}?q=comet",
    "events, words that 3,000 hold":                   f"{EVENTS}?q=lantern",
    "events, words that a third holds, two together":  f"{EVENTS}?q=change+orchard",
    "events, words that many hold, but none together": f"{EVENTS}?q=orchard+harbour",
    "events, words, failed":                           f"{EVENTS}?q=orchard&status=failed",
    "events, words, of a project":                     f"{EVENTS}?q=lantern&project=project-0",
    "events, words, deep inside":                      f"{EVENTS}?q=orchard&cursor={{deep}}",
    "event":                                           f"{EVENTS}/{{event_id}}",
    "deliveries, first page":                          DELIVERIES,
    "deliveries, deep inside":                         f"{DELIVERIES}?cursor={{deep_deliveries}}",
    "deliveries, refused":                             f"{DELIVERIES}?outcome=unverified,malformed,rejected,forbidden",
    "deliveries, of an outcome, deep inside":          f"{DELIVERIES}?outcome=logged&cursor={{deep_deliveries}}",
    "deliveries, of an outcome, verified":             f"{DELIVERIES}?outcome=updated&verified=true",
    "delivery":                                        f"{DELIVERIES}/{{delivery}}",
    "delivery's body":                                 f"{DELIVERIES}/{{delivery}}/body",
    "stream, from the start":                          f"{STREAM}&after=start",
    "stream, from the start, of a project":            f"{STREAM}&after=start&project=project-0",
    "stream, from the start, of a rare project":       f"{STREAM}&after=start&project=project-190",
    "stream, from the start, of a branch":             f"{STREAM}&after=start&branch=main",
    "stream, from the start, failed":                  f"{STREAM}&after=start&status=failed",
    "stream, from the start, of no status":            f"{STREAM}&after=start&status=none",
    "stream, from the start, of an outcome":           f"{STREAM}&after=start&outcome=logged",
    "stream, from the start, of a webhook":            f"{STREAM}&after=start&webhook=My+CircleCI+Webhook",
    "stream, from the start, of no webhook":           f"{STREAM}&after=start&webhook=none",
    "stream, from now":                                f"{STREAM}&after=now",
}
# fmt: on

# Cursors are taken so many pages of 500 behind the first one, where no filter leads further.
DEEP_PAGES = 10
DEEP = {"deep_duration": "-duration", "deep_happened_at": "-happened_at"}


def all_rows():
    """Return the addresses by what they show."""
    return {
        **OTHERS,
        **_of_filters("events", EVENTS, EVENT_FILTERS),
        **_of_filters("deliveries", DELIVERIES, DELIVERY_FILTERS),
        **{f"deliveries, outcome={outcome}": f"{DELIVERIES}?outcome={outcome}" for outcome in OUTCOMES},
        **{f"admin: {name}": address for name, address in PAGES.items()},
        "admin: events, deep inside": "/admin/logs/workflowevent/?cursor={deep}",
    }


def _of_filters(what, address, filters):
    return {
        f"{what}, {name}={value}": f"{address}?{name}={value}"
        for name, *values in filters
        for value in values
        if value is not None
    }


def keys(events, deliveries, random):
    """Return what is filled in: the keys of a pipeline, of its workflow's event, and of a delivery of a log."""
    pipelines = events // EVENTS_OF_A_PIPELINE
    # Of those whose deliveries are kept.
    number = random.randint(pipelines - deliveries // EVENTS_OF_A_PIPELINE + 1, pipelines)
    commit = md5(f"commit {number}")
    return {
        "pipeline": number,
        "pipeline_id": uuid_of(f"pipeline {number}"),
        "workflow_id": uuid_of(f"workflow {number}"),
        "event_id": uuid_of(f"event {number} 4"),
        "event": number * EVENTS_OF_A_PIPELINE,
        "commit": commit[:8],
        "short_commit": commit[:4],
        "tag": f"v{number - number % 50}",
        "number": random.randint(0, 199),
        "delivery": random.randint(1, deliveries),
    }
