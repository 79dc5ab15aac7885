"""Interpret the text of a search: what it may name. Nothing is looked up."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from logs.circleci.urls import Named, read_url
from logs.models.events import UUID, project_named

_NUMBER = re.compile(r"(#?)([0-9]{1,18})", re.ASCII)
# A short one must contain a digit: otherwise "feed" and "added" would be commits.
_HASH = re.compile(r"[0-9a-f]{7,64}")
_COMMIT = re.compile(r"[0-9a-f]{7,64}|(?=[a-f]*[0-9])[0-9a-f]{4,6}")


class Kind(StrEnum):
    """What a text can name."""

    ID = "id"  # Of an event, workflow, pipeline or project.
    WORKFLOW = "workflow"  # A run of a workflow.
    PIPELINE = "pipeline"
    JOB = "job"
    COMMIT = "commit"
    BRANCH = "branch"
    PROJECT = "project"
    PERSON = "person"
    WORDS = "words"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One reading of a text."""

    kind: Kind
    value: str
    filters: Mapping[str, str] = field(default_factory=dict)  # Of the list of events, except the project.
    job_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """All readings of a text."""

    readings: tuple[
        Wanted, ...
    ]  # The most specific first. A number can name a pipeline and a job; the first of others.
    context: tuple[Wanted, ...] = ()  # What contains it: a job's workflow and pipeline.
    projects: tuple[str, ...] = ()  # Its project's slug or name; several if it may have either, the likelier first.
    is_start: bool = False  # Whether the project's name may only start with it.


def interpret(text: str) -> Search:
    """Return what a text may name."""
    if named := read_url(text):
        return _of_url(named, text)
    if number := _NUMBER.fullmatch(text):
        return Search(readings=_of_number(number[2], is_pipeline=bool(number[1])))
    lower = text.lower()
    if UUID.fullmatch(lower):
        return Search(readings=(Wanted(kind=Kind.ID, value=lower),))
    commits = (_commit(lower),) if _COMMIT.fullmatch(lower) else ()
    _, project = project_named(text)
    readings = (*commits, Wanted(kind=Kind.ID, value=text), _project(project), *_of_words(text))
    return Search(readings=readings, projects=(project,), is_start=True)


def _of_number(digits: str, *, is_pipeline: bool) -> tuple[Wanted, ...]:
    number = str(int(digits))
    pipeline = Wanted(kind=Kind.PIPELINE, value=number, filters={"pipeline": number})
    if is_pipeline:
        return (pipeline,)
    job = Wanted(kind=Kind.JOB, value=number, job_number=int(number))
    return (pipeline, job, *((_commit(digits),) if _HASH.fullmatch(digits) else ()))


def _of_url(named: Named, text: str) -> Search:
    readings = []
    pipeline = {} if named.pipeline is None else {"pipeline": str(named.pipeline)}
    if named.job is not None:
        readings.append(Wanted(kind=Kind.JOB, value=str(named.job), filters=pipeline, job_number=named.job))
    if named.workflow_id:
        filters = {"workflow_id": named.workflow_id}
        readings.append(Wanted(kind=Kind.WORKFLOW, value=named.workflow_id, filters=filters))
    if pipeline:
        readings.append(Wanted(kind=Kind.PIPELINE, value=pipeline["pipeline"], filters=pipeline))
    if named.revision:
        readings.append(_commit(named.revision))
    if named.branch:
        readings.append(Wanted(kind=Kind.BRANCH, value=named.branch, filters={"branch": named.branch}))
    projects = tuple(filter(None, (named.slug, named.repository)))
    if not readings:
        return Search(readings=(_project(projects[0]), *_of_words(text)), projects=projects)
    return Search(readings=(readings[0],), context=tuple(readings[1:]), projects=projects)


def _of_words(text: str) -> tuple[Wanted, ...]:
    return (
        Wanted(kind=Kind.PERSON, value=text),
        Wanted(kind=Kind.WORDS, value=text, filters={"q": text}),
    )


def _commit(prefix: str) -> Wanted:
    return Wanted(kind=Kind.COMMIT, value=prefix, filters={"revision": prefix})


def _project(project: str) -> Wanted:
    return Wanted(kind=Kind.PROJECT, value=project)
