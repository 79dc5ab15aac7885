"""The id of an event whose own id another project has."""

from dataclasses import replace

from logs.circleci import samples
from logs.circleci.payload import read_event
from logs.ingest.identity import id_of_its_own


def test_an_id_follows_from_the_project_and_the_event_and_nothing_else(workflow_document):
    event = read_event(samples.encode(workflow_document()))
    own_id = id_of_its_own(event)
    assert id_of_its_own(replace(event, status="failed", happened_at=None)) == own_id
    assert id_of_its_own(replace(event, project_slug="github/acme/payments")).rpartition("~")[2] not in own_id
    long_ids = [id_of_its_own(replace(event, event_id="x" * 199 + end)) for end in "ab"]
    assert long_ids[0] != long_ids[1]


def test_an_id_is_the_same_in_every_version_so_that_an_upgrade_doubles_nothing(workflow_document):
    event = replace(read_event(samples.encode(workflow_document())), event_id="e-1", project_slug="github/acme/orchard")
    assert id_of_its_own(event) == "e-1~81fb262ce93aea51"
