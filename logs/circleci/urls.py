"""Read what a URL of CircleCI or of a code host names: a project, pipeline, workflow, job, branch or commit.

CircleCI does not document the URLs of its app. The shapes here are those in payloads, in the app, and in older links.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from logs.circleci.vocabulary import PROVIDER_SPELLINGS

_PROVIDER = "|".join(PROVIDER_SPELLINGS)
_PROJECT = rf"(?P<provider>{_PROVIDER})/(?P<organization>[^/]+)/(?P<repository>[^/]+)"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NUMBER = "[0-9]{1,18}"
_CIRCLECI = [
    rf"/pipelines/{_PROJECT}/(?P<pipeline>{_NUMBER})(?:/workflows/(?P<workflow_id>{_UUID})(?:/jobs/(?P<job>{_NUMBER}))?)?",
    rf"/(?:pipelines|projects|insights|settings/project)/{_PROJECT}",
    rf"/(?:jobs/)?{_PROJECT}/(?P<job>{_NUMBER})",
    rf"/{_PROJECT}/tree/(?P<branch>.+)",
    rf"/{_PROJECT}",
    rf"/workflow-run/(?P<workflow_id>{_UUID})",
]
# What follows a repository on GitHub and Bitbucket, and on GitLab, where groups contain groups.
_REPOSITORY = r"/(?P<organization>[^/]+)/(?P<repository>[^/]+?)(?:\.git)?"
_CODE_HOSTS = [
    rf"{_REPOSITORY}/commits?/(?P<revision>[0-9a-f]{{7,64}})",
    rf"{_REPOSITORY}/(?:tree|branch|src)/(?P<branch>.+)",
    rf"{_REPOSITORY}(?:/.*)?",
]
_GITLAB_REPOSITORY = r"/(?P<organization>[^/]+)/(?:[^/]+/)*?(?P<repository>[^/]+?)(?:\.git)?"
_GITLAB = [
    rf"{_GITLAB_REPOSITORY}/-/commit/(?P<revision>[0-9a-f]{{7,64}})",
    rf"{_GITLAB_REPOSITORY}/-/tree/(?P<branch>.+)",
    rf"{_GITLAB_REPOSITORY}(?:/-/.*)?",
]
_URL = re.compile(
    r"(?:https?://|git@|ssh://git@)?(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?::[0-9]+)?(?P<path>[/:][^?#]*)(?:[?#].*)?",
    re.IGNORECASE,
)
_PROVIDERS = {"github.com": "github", "bitbucket.org": "bitbucket"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a URL names; each part is empty or None if the URL does not name it."""

    slug: str = ""  # The project's. Only on GitHub and Bitbucket, it follows from a repository's URL.
    repository: str = ""  # The name in a repository's URL, which is usually the project's name.
    pipeline: int | None = None
    workflow_id: str = ""
    job: int | None = None
    branch: str = ""
    revision: str = ""


def read_url(text: str) -> Named | None:
    """Return what a URL names, with or without its scheme; None if the text is not such a URL."""
    url = _URL.fullmatch(text)
    if url is None:
        return None
    path = "/" + unquote(url["path"])[1:].strip("/").replace("\0", "")
    host = url["host"].lower()
    for pattern in _patterns(host):
        if page := re.fullmatch(pattern, path, re.IGNORECASE):
            return _named(page.groupdict(), host=host)
    return None


def _patterns(host: str) -> list[str]:
    if "circleci" in host:
        return _CIRCLECI
    # CircleCI can run on a company's own host.
    return [*_CIRCLECI[:2], *(_GITLAB if "gitlab" in host else _CODE_HOSTS)]


def _named(parts: dict[str, str | None], *, host: str) -> Named:
    given = {name: value for name, value in parts.items() if value}
    written = given.get("provider", "").lower()
    provider = PROVIDER_SPELLINGS.get(written) or _PROVIDERS.get(host.removeprefix("www."), "")
    repository = given.get("repository", "")
    return Named(
        slug=f"{provider}/{given['organization']}/{repository}" if provider and repository else "",
        repository="" if written else repository,
        pipeline=int(given["pipeline"]) if "pipeline" in given else None,
        workflow_id=given.get("workflow_id", "").lower(),
        job=int(given["job"]) if "job" in given else None,
        branch=given.get("branch", ""),
        revision=given.get("revision", "").lower(),
    )
