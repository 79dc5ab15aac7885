"""Links to the code host of a payload's repository.

Sources (read 2026-11-29):
    https://docs.github.com/en/pull-requests/committing-changes-to-your-project/viewing-and-comparing-commits/comparing-commits
    https://gitlab.com/gitlab-com/www-gitlab-com/-/compare/ca5b7b2e008f97ed2646473345daaa399cbd3527...28106dce7c72895353fda477ab6627a555ca9e5a
The paths for Bitbucket Cloud are not documented.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from logs.circleci.payload import web_url_at
from logs.circleci.strict_json import parse_payload
from logs.exceptions import PayloadMalformed

_REVISION = re.compile("[0-9a-f]{7,64}")
# Nothing in which a browser would see more than a host and a path: user names, backslashes, dot segments, whitespace.
_REPOSITORY = re.compile(r"https://[a-z0-9.-]+(:[0-9]{1,5})?(/(?!\.+(/|$))[\w.~-]+){2,}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    """The paths of a code host's pages, after the repository's URL."""

    commit: str
    compare: str


# fmt: off
_GITHUB =    _Paths(commit="/commit/{}",   compare="/compare/{good}...{bad}")
_GITLAB =    _Paths(commit="/-/commit/{}", compare="/-/compare/{good}...{bad}")
_BITBUCKET = _Paths(commit="/commits/{}",  compare="/branches/compare/{bad}%0D{good}")
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository at a kind of code host that is known."""

    url: str
    paths: _Paths

    @property
    def host(self) -> str:
        """The code host's name, with its port if the URL has one."""
        return urlsplit(self.url).netloc

    def commit_url(self, revision: str) -> str:
        """Return the URL of a commit's page; "" if `revision` is not a hash."""
        return self.url + self.paths.commit.format(revision) if _REVISION.fullmatch(revision) else ""

    def compare_url(self, *, good: str, bad: str) -> str:
        """Return the URL of the page that compares two commits; "" if a hash is missing or the hashes are equal.

        Args:
            good: the hash of the older commit.
            bad: the hash of the newer commit.
        """
        if good == bad or not (_REVISION.fullmatch(good) and _REVISION.fullmatch(bad)):
            return ""
        return self.url + self.paths.compare.format(good=good, bad=bad)


def repository_of(body: bytes) -> Repository | None:
    """Return the repository that an event's payload names.

    Return None if the payload does not contain the URL of a repository, or if the kind of code host is unknown. The
    payload names the host, so it must be signed.
    """
    try:
        document = parse_payload(body)
    except PayloadMalformed:  # An older version of webhooklog accepted the body.
        return None
    url, paths = _url_and_paths(document)
    url = url.removesuffix("/").removesuffix(".git")
    return Repository(url=url, paths=paths) if _REPOSITORY.fullmatch(url) else None


def _url_and_paths(document: dict[str, object]) -> tuple[str, _Paths]:
    """Return the repository's URL and the paths of its pages; an empty URL if the code host is unknown."""
    # GitHub OAuth, also with GitHub Enterprise Server, or Bitbucket Cloud.
    if url := web_url_at(document, "pipeline.vcs.target_repository_url"):
        return url, _BITBUCKET if url.startswith("https://bitbucket.org/") else _GITHUB
    if url := web_url_at(document, "pipeline.trigger_parameters.gitlab.web_url"):
        return url, _GITLAB
    # GitHub App. Bitbucket Data Center has its URL here too, usually with ssh:, and its pages have other paths.
    url = web_url_at(document, "pipeline.trigger_parameters.git.checkout_url")
    return url if url.startswith("https://github.com/") else "", _GITHUB
