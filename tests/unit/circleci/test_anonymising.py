"""An anonymised payload tells of nobody, and is as good for a test as the original."""

import json
import random
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from logs.circleci import samples
from logs.circleci.anonymising import anonymised
from logs.circleci.payload import read_event
from logs.exceptions import PayloadMalformed

PAYLOADS = sorted((Path(__file__).parents[2] / "payloads").glob("*.json"))
KEPT_COLUMNS = {
    "event_type", "happened_at", "stopped_at", "workflow", "job", "job_number", "status", "branch", "tag",
    "pipeline_number", "trigger", "duration_seconds",
}  # fmt: skip


def changed(document, key="key"):
    return json.loads(anonymised(json.dumps(document).encode(), key))


def shape(node):
    if isinstance(node, dict):
        return {key: shape(value) for key, value in node.items()}
    return [shape(value) for value in node] if isinstance(node, list) else type(node)


def texts(node):
    if isinstance(node, dict | list):
        return [text for child in (node.values() if isinstance(node, dict) else node) for text in texts(child)]
    return [node] if isinstance(node, str) else []


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_keeps_the_shape_and_the_types(path):
    document = json.loads(path.read_bytes())
    assert shape(changed(document)) == shape(document)


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_keeps_what_a_test_is_about_and_changes_every_other_column(path):
    before, after = (asdict(read_event(body)) for body in (path.read_bytes(), anonymised(path.read_bytes(), "key")))
    for column, value in before.items():
        if value:
            assert (after[column] == value) == (column in KEPT_COLUMNS), column
        else:
            assert after[column] == value, column


@pytest.mark.parametrize("make", [samples.workflow_completed, samples.job_completed])
@pytest.mark.parametrize("host", samples.Host)
def test_nothing_tells_who_it_was(make, host):
    document = make(random=random.Random(1), host=host, author="Wilma Quince", project="harbour-web")
    shown = anonymised(samples.encode(document), "key").decode().lower()
    for word in ("wilma", "quince", "harbour", "acme", "prune", "my circleci", document["id"], "github.com"):
        assert word not in shown, word


def test_the_same_text_becomes_the_same_word_wherever_it_stands():
    document = changed(json.loads(Path(PAYLOADS[0].parent / "workflow_success_github_oauth.json").read_bytes()))
    organization, project = document["organization"]["name"], document["project"]["name"]
    assert organization != project
    assert document["project"]["slug"] == f"github/{organization}/{project}"
    vcs = document["pipeline"]["vcs"]
    assert vcs["origin_repository_url"] == f"https://example.com/{organization}/{project}"
    assert document["workflow"]["url"].endswith(f"/workflows/{document['workflow']['id']}")
    assert f"/pipelines/github/{organization}/{project}/" in document["workflow"]["url"]


def test_two_versions_of_an_event_stay_versions_of_one():
    first, again = (
        read_event(anonymised((PAYLOADS[0].parent / f"workflow_canceled_{name}_github_oauth.json").read_bytes(), "key"))
        for name in ("first", "again")
    )
    assert first.event_id == again.event_id


def test_another_key_makes_other_words():
    document = {"id": "1", "type": "ping", "webhook": {"name": "boats"}}
    assert changed(document) == changed(document)
    assert changed(document)["webhook"] != changed(document, "another key")["webhook"]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("wilma@acme.example", r"[0-9a-f]{10}@example\.com"),
        ("git@gitlab.com:acme/boats.git", r"git@example\.com:anon-[0-9a-f]{10}/anon-[0-9a-f]{10}\.git"),
        ("ssh://git@host.example:22/boats.git", r"ssh://example\.com/anon-[0-9a-f]{10}\.git"),
        ("https://wilma:secret@host.example", r"https://example\.com"),
        ("https://host.example/u/7?name=wilma#x", r"https://example\.com/anon-\w+/1\?anon-\w+=anon-\w+#anon-\w+"),
        ("2026-05-04T10:00:00Z", r"2026-05-04T10:00:00Z"),
        ("2024-12-18 17:23:29.36 +0000 UTC", r"2024-12-18 17:23:29\.36 \+0000 UTC"),
        ("7130af36-04a0-3ceb-9916-a0e8603f7e51", r"(?!7130)[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f-]{17}"),
        ("4be1c0d9a7f35e2681d4c09b7ae3f5128c6d9e07", r"(?!4be1)[0-9a-f]{40}"),
        ("two\n\nlines", r"anon-[0-9a-f]{10}\n\nanon-[0-9a-f]{10}"),
        ("true", "true"),
        ("42", "42"),
        ("", ""),
        (" ", " "),
        ("\ud800", r"anon-[0-9a-f]{10}"),
    ],
)
def test_each_kind_of_text_stays_of_its_kind(text, pattern):
    document = changed({"id": "1", "type": "x", "added_tomorrow": [{"anything": text}]})
    assert re.fullmatch(pattern, document["added_tomorrow"][0]["anything"])


def test_a_kept_text_may_hold_what_utf_8_cannot():
    assert changed({"id": "1", "type": "x", "branch": "\ud800"})["branch"] == "\ud800"


def test_a_number_in_an_address_is_the_same_as_elsewhere_and_changes_unless_it_counts_pipelines_or_jobs():
    slug = "circleci/4711/0815"
    document = changed(
        {
            "id": "1",
            "type": "x",
            "project": {"slug": slug, "organization_id": 4711},
            "workflow": {"url": f"https://app.circleci.com/pipelines/{slug}/130/workflows/1d-2/jobs/42"},
            "vcs": {"origin_repository_url": "https://git.example/groups/4711/workflow.git"},
        }
    )
    shown = document["project"]["slug"]
    organization = str(document["project"]["organization_id"])
    assert organization != "4711"
    assert re.fullmatch(rf"circleci/{organization}/(?!0815)\d{{4}}", shown)
    url = document["workflow"]["url"]
    assert re.fullmatch(rf"https://example\.com/pipelines/{shown}/130/workflows/anon-\w+/jobs/42", url)
    assert f"/{organization}/anon-" in document["vcs"]["origin_repository_url"]


def test_ids_that_are_numbers_change_and_stay_as_long():
    block = changed(
        {
            "id": "1",
            "type": "x",
            "a": {"user_ids": [123456], "user_id": 123456, "project_id": "98765", "id": 7, "number": 12},
        }
    )["a"]
    assert len(str(block["user_id"])) == 6
    assert block["user_id"] != 123456
    assert block["user_ids"] == [block["user_id"]]
    assert len(block["project_id"]) == 5
    assert block["project_id"] != "98765"
    assert block["number"] == 12


@pytest.mark.parametrize(
    "document", [{"id": "4711"}, {"id": 4711}, {"a": {"id": 4711}}, {"a": {"ids": [4711]}}, {"a": {"b_ids": ["4711"]}}]
)
def test_every_number_that_is_an_id_changes(document):
    assert b"4711" not in anonymised(json.dumps(document).encode(), "key")


def test_writes_json_without_spaces():
    assert anonymised(b'{"type": "ping", "forced": [true, null]}', "key") == b'{"type":"ping","forced":[true,null]}'


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_refuses_what_is_no_payload(body):
    with pytest.raises(PayloadMalformed):
        anonymised(body, "key")


@pytest.mark.parametrize("written", ["2026-06-01T05:04Z", "20260601t050403z", "2026-06-01 05:04:03.5 +0200 CEST"])
def test_keeps_a_time_however_it_is_written(written):
    document = {"id": "e", "type": "workflow-completed", "happened_at": written}
    assert changed(document)["happened_at"] == written


def test_changes_an_id_that_looks_like_seconds_since_1970():
    document = {"id": "e", "type": "workflow-completed", "pipeline": {"user_id": "1764345600"}}
    assert changed(document)["pipeline"]["user_id"] != "1764345600"
