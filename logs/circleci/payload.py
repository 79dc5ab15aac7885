"""Read a body into a normalised event, tolerating everything but a missing identity.

Source: https://circleci.com/docs/reference/outbound-webhooks-reference/ (read 2026-08-20). Payloads are "open maps":
any block may be missing, new ones may appear, and the shape under ``pipeline`` depends on the code host.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from logs.circleci.strict_json import parse_payload
from logs.circleci.vocabulary import EventType
from logs.exceptions import PayloadMalformed
from logs.timestamps import read_timestamp

MAX_ID_LENGTH = 200
MAX_TEXT_LENGTH = 255
# In UTF-8. A PostgreSQL index entry holds 2,704 bytes, enough for three such texts. Longer texts cannot be stored.
MAX_TEXT_BYTES = 850
MAX_SUBJECT_LENGTH = 500
MAX_URL_LENGTH = 2000
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Event:
    """One version of an event, with a field for each of the log's columns.

    Missing text is ``""``; any other missing value is None. Text is truncated to its column's length, and indexed text
    also to MAX_TEXT_BYTES. Text contains neither NUL nor lone surrogates. Times are aware and in UTC.
    """

    event_id: str  # Identifies the event, not the delivery: the same in every retry. An opaque string.
    event_type: str  # "workflow-completed", "job-completed", or an undocumented type.
    happened_at: datetime | None
    stopped_at: datetime | None  # The job's in job events, the workflow's otherwise.
    name: str  # The webhook's name in CircleCI.
    project: str
    project_slug: str
    project_id: str
    organization: str
    workflow: str
    workflow_id: str
    job: str
    job_number: int | None
    status: str  # Free text; the job's in job events, the workflow's otherwise.
    branch: str
    tag: str
    revision: str
    commit_subject: str
    author: str  # The commit's author.
    pipeline_id: str
    pipeline_number: int | None
    trigger: str
    duration_seconds: float | None  # From start to stop of the job or the workflow; never negative.
    url: str  # The workflow's page in CircleCI; always http or https.

    def __post_init__(self) -> None:
        if any(time and time.tzinfo is None for time in (self.happened_at, self.stopped_at)):
            raise ValueError("an event's times must be aware")


def read_event(body: bytes) -> Event:
    """Return the event in a body; values that are invalid or of the wrong type count as missing.

    Raises:
        PayloadMalformed: the body is not a JSON object, or has no usable ``id`` or ``type``.
    """
    document = parse_payload(body)
    event_id = _event_id(document)
    return _event_in(document, event_id, _storable(_required(document, "type"))[:MAX_TEXT_LENGTH])


def read_claim(body: bytes) -> Event | None:
    """Return the event that a refused body claims, without its id; None if the body is not a JSON object."""
    try:
        document = parse_payload(body)
    except PayloadMalformed:
        return None
    return _event_in(document, "", _text(document.get("type")))


def _event_in(document: dict[str, object], event_id: str, event_type: str) -> Event:
    project, workflow, job = _block(document, "project"), _block(document, "workflow"), _block(document, "job")
    pipeline = _block(document, "pipeline")
    subject, started = (job, "started_at") if event_type == EventType.JOB_COMPLETED else (workflow, "created_at")
    stopped_at = _time(subject.get("stopped_at"))
    return Event(
        event_id=event_id,
        event_type=event_type,
        happened_at=_time(document.get("happened_at")),
        stopped_at=stopped_at,
        name=_text(_block(document, "webhook").get("name")),
        project=_text(project.get("name")),
        project_slug=_text(project.get("slug")),
        project_id=_text(project.get("id")),
        organization=_text(_block(document, "organization").get("name")),
        workflow=_text(workflow.get("name")),
        workflow_id=_text(workflow.get("id")),
        job=_text(job.get("name")),
        job_number=_integer(job.get("number")),
        status=_text(subject.get("status")),
        pipeline_id=_text(pipeline.get("id")),
        pipeline_number=_integer(pipeline.get("number")),
        trigger=_text(_block(pipeline, "trigger").get("type")),
        duration_seconds=_duration_seconds(_time(subject.get(started)), stopped_at),
        url=_web_url(workflow.get("url")),
        **_commit_columns(pipeline),
    )


def _commit_columns(pipeline: dict[str, object]) -> dict[str, str]:
    """Return the columns for the pipeline's branch or tag, its commit and the commit's author.

    GitHub OAuth and Bitbucket Cloud fill "vcs"; GitLab, GitHub App and Bitbucket Data Center fill "trigger_parameters".
    """
    vcs, parameters = _block(pipeline, "vcs"), _block(pipeline, "trigger_parameters")
    commit = _block(vcs, "commit")
    git, gitlab, app = _block(parameters, "git"), _block(parameters, "gitlab"), _block(parameters, "github_app")
    refs = git.get("ref"), app.get("full_ref"), app.get("ref"), gitlab.get("ref")
    branches = vcs.get("branch"), git.get("branch"), gitlab.get("branch"), app.get("branch")
    return {
        "branch": _ref_name("refs/heads/", branches, refs),
        "tag": _ref_name("refs/tags/", (vcs.get("tag"), git.get("tag"), gitlab.get("tag")), refs),
        "revision": _text(
            vcs.get("revision"), git.get("checkout_sha"), gitlab.get("commit_sha"), app.get("commit_sha")
        ),
        # Some hosts send only the full message; its first line is the subject.
        "commit_subject": _first_line(
            commit.get("subject"), gitlab.get("commit_title"), app.get("commit_title"), git.get("commit_message")
        ),
        "author": _text(
            _block(commit, "author").get("name"),
            *(host.get("commit_author_name") for host in (gitlab, app, git)),
        ),
    }


def time_at(document: dict[str, object], path: str) -> datetime | None:
    """Return the time at a dotted path, in UTC; the payload may hold a string or a number (see `read_timestamp`).

    Return None if the value is missing, is not a timestamp, has no offset, or is outside the years 1970 to 9998.
    """
    return _time(_value_at(document, path))


def web_url_at(document: dict[str, object], path: str) -> str:
    """Return the URL at a dotted path; "" if the value is missing or is not an http(s) URL."""
    return _web_url(_value_at(document, path))


def _value_at(document: dict[str, object], path: str) -> object:
    *blocks, key = path.split(".")
    for block in blocks:
        document = _block(document, block)
    return document.get(key)


def _time(value: object) -> datetime | None:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    time = read_timestamp(str(value))
    # Years at either end of the calendar overflow when they are shown in another time zone.
    return time if time and 1970 <= time.year < 9999 else None


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MISSING_BLOCK: dict[str, object] = {}


def _block(parent: dict[str, object], key: str) -> dict[str, object]:
    """Return the object with this key; an empty one if it is missing, null or not an object."""
    value = parent.get(key)
    return value if isinstance(value, dict) else _MISSING_BLOCK


def _text(*values: object) -> str:
    """Return the first non-empty text, truncated to fit an index; ``""`` if there is none."""
    for value in values:
        if isinstance(value, str) and value:
            return _indexable(value)
    return ""


def _indexable(text: str) -> str:
    if text.isascii() and len(text) <= MAX_TEXT_LENGTH and "\0" not in text:  # The usual case.
        return text
    return _storable(text)[:MAX_TEXT_LENGTH].encode()[:MAX_TEXT_BYTES].decode(errors="ignore")


def _first_line(*messages: object) -> str:
    """Return the first non-blank line of a commit message, stripped; any Unicode line break ends a line."""
    for message in messages:
        if isinstance(message, str) and message.strip():
            return _storable(message.lstrip()[:MAX_SUBJECT_LENGTH].splitlines()[0].rstrip())
    return ""


def _storable(text: str) -> str:
    """Replace characters that no column can store: PostgreSQL rejects NUL; UTF-8 cannot encode lone surrogates."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _required(document: dict[str, object], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value.strip():
        raise PayloadMalformed(f'"{key}" must be a non-empty string')
    return value


def _event_id(document: dict[str, object]) -> str:
    event_id = _required(document, "id")
    if len(event_id) > MAX_ID_LENGTH:
        raise PayloadMalformed(f'"id" is longer than {MAX_ID_LENGTH} characters')
    # Replacing such characters, as in other texts, could give two events the same id.
    if _UNSTORABLE.search(event_id):
        raise PayloadMalformed('"id" contains a NUL or a lone surrogate')
    return event_id


def _integer(value: object) -> int | None:
    """Return an integer from a number or a string of digits; None if the value is anything else or out of range."""
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER else None


def _duration_seconds(started_at: datetime | None, stopped_at: datetime | None) -> float | None:
    if started_at is None or stopped_at is None or stopped_at < started_at:
        return None
    return (stopped_at - started_at).total_seconds()


def _ref_name(prefix: str, names: tuple[object, ...], refs: tuple[object, ...]) -> str:
    """Return the first name, else the name in the first full ref with this prefix, else ``""``.

    Other refs, such as a pull request's (refs/pull/7/head), are neither branches nor tags.
    """
    for value in (*names, *(ref for ref in refs if isinstance(ref, str) and ref.startswith(prefix))):
        if isinstance(value, str) and (name := _indexable(value.removeprefix(prefix))):
            return name
    return ""


def _web_url(value: object) -> str:
    """Return an http(s) URL, else ``""``: a link with another scheme could run a script when clicked."""
    url = _storable(value)[:MAX_URL_LENGTH] if isinstance(value, str) else ""
    return url if url.startswith(("https://", "http://")) else ""
