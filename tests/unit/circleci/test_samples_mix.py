"""A mix of random events looks like the days of a few projects."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

from logs.circleci import samples
from logs.circleci.payload import read_event
from logs.circleci.samples import Host, mix
from logs.circleci.vocabulary import JOB_STATUSES, WORKFLOW_STATUSES

MOMENT = datetime(2026, 2, 3, 4, 5, 6, 700_000, tzinfo=UTC)


def read(document):
    return read_event(samples.encode(document))


def test_the_same_seed_makes_the_same_random_events():
    first, second = Random(3), Random(3)
    events = [samples.random_event(first) for _ in range(50)]
    assert events == [samples.random_event(second) for _ in range(50)]
    assert len({event["id"] for event in events}) == 50


def test_a_project_keeps_its_ids_through_all_its_events():
    documents = [samples.random_event(Random(seed), project="orchard") for seed in range(20)]
    for key in ("project", "organization", "webhook"):
        assert len({json.dumps(document[key]) for document in documents}) == 1
    other = samples.random_event(Random(1), project="harbour-web")
    assert other["project"]["id"] != documents[0]["project"]["id"]


def test_an_unknown_project_keeps_to_one_host_too():
    slugs = {samples.random_event(Random(seed), project="sail-loft")["project"]["slug"] for seed in range(20)}
    assert len(slugs) == 1


def test_a_mix_is_mostly_success_and_holds_everything_documented():
    random = Random(2026)
    events = [read(samples.random_event(random)) for _ in range(3_000)]
    for event_type, documented in (("workflow-completed", WORKFLOW_STATUSES), ("job-completed", JOB_STATUSES)):
        statuses = Counter(event.status for event in events if event.event_type == event_type)
        assert set(statuses) == set(documented)
        assert 0.75 < statuses["success"] / statuses.total() < 0.9
        assert 0.06 < statuses["failed"] / statuses.total() < 0.14
    assert {event.project for event in events} == set(mix.PROJECT_HOSTS)
    assert {event.workflow for event in events} == set(mix.WORKFLOW_JOBS)
    assert {event.branch for event in events} == {"", *mix.BRANCH_WEIGHTS}
    assert {event.author for event in events} == {"", *mix.AUTHORS}
    assert any(event.tag for event in events)
    assert any(event.trigger == "api" for event in events)


def test_a_mix_holds_every_host():
    assert set(mix.PROJECT_HOSTS.values()) == set(Host)


def test_a_mix_without_a_moment_is_spread_over_the_month_before_the_reference():
    random = Random(1)
    moments = [read(samples.random_event(random)).happened_at for _ in range(200)]
    assert max(moments) <= samples.REFERENCE_TIME
    assert timedelta(days=20) < samples.REFERENCE_TIME - min(moments) <= timedelta(days=30)


def test_a_mix_takes_a_moment_a_project_and_a_webhook_name():
    event = read(samples.random_event(Random(1), project="sail-loft", webhook_name="boats", now=MOMENT))
    assert (event.project, event.name, event.happened_at) == ("sail-loft", "boats", MOMENT)
