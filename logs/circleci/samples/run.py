"""The properties of a sample: project, code host, commit, workflow and duration."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import TypedDict
from uuid import UUID

ORGANIZATION = "acme"
WEBHOOK_NAME = "My CircleCI Webhook"

# The default time of a sample. With the current time, a seed would not give the same bytes twice.
REFERENCE_TIME = datetime(2026, 8, 20, 9, 30, 0, 250_000, tzinfo=UTC)

FIRST_PIPELINE_AT = datetime(2020, 1, 1, tzinfo=UTC)

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Host(StrEnum):
    """The host of a project's code, which determines the shape of ``pipeline``."""

    GITHUB_OAUTH = "github_oauth"
    BITBUCKET_CLOUD = "bitbucket_cloud"
    GITLAB = "gitlab"
    GITHUB_APP = "github_app"
    BITBUCKET_DC = "bitbucket_dc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a workflow, with the values that samples can vary."""

    project: str = "orchard"
    webhook_name: str = WEBHOOK_NAME
    host: Host = Host.GITHUB_OAUTH
    happened_at: datetime | None = None  # None: REFERENCE_TIME.
    duration_seconds: float | None = None  # The workflow's, or the job's in job events. None: random.
    workflow: str = "build-and-test"
    pipeline: int | None = None  # The pipeline's number. None: grows with time.
    workflow_id: str | None = None  # None: a new workflow. The same id twice gives two versions of one event.
    branch: str = "main"
    tag: str | None = None  # The pushed tag; the branch is then ignored.
    author: str = "Wilma Quince"
    commit_subject: str = "Prune the apple trees"
    by_api: bool = False  # Started through the API, which sends no details of the commit.

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("happened_at must be aware")

    @property
    def time(self) -> datetime:
        """The time of the event."""
        return self.happened_at or REFERENCE_TIME

    @property
    def pipeline_number(self) -> int:
        """The number of the pipeline."""
        if self.pipeline is not None:
            return self.pipeline
        return max(1, (self.time - FIRST_PIPELINE_AT) // timedelta(minutes=1))


class RunOptions(TypedDict, total=False):
    """The fields of a Run as keyword arguments."""

    project: str
    webhook_name: str
    host: Host
    happened_at: datetime | None
    duration_seconds: float | None
    workflow: str
    pipeline: int | None
    workflow_id: str | None
    branch: str
    tag: str | None
    author: str
    commit_subject: str
    by_api: bool


def random_id(random: Random) -> str:
    """Return a random (version 4) UUID."""
    return str(UUID(int=random.getrandbits(128), version=4))


def lasting_id(kind: str, name: str) -> str:
    """Return the id of a named object, such as a project; the id is the same in every sample."""
    return random_id(Random(f"{kind} {name}"))


def project_slug(run: Run) -> str:
    """Return ``<provider>/<org>/<repo>`` for GitHub OAuth and Bitbucket Cloud, else ``circleci/<id>/<id>``."""
    if run.host == Host.GITHUB_OAUTH:
        return f"github/{ORGANIZATION}/{run.project}"
    if run.host == Host.BITBUCKET_CLOUD:
        return f"bitbucket/{ORGANIZATION}/{run.project}"
    return f"circleci/{_short_id(ORGANIZATION)}/{_short_id(run.project)}"


def _short_id(name: str) -> str:
    return "".join(Random(f"short id {name}").choices(_BASE58, k=22))
