"""Links to the code host of a payload's repository.

Sources (read 2026-11-29):
    https://docs.github.com/en/pull-requests/committing-changes-to-your-project/viewing-and-comparing-commits/comparing-commits
    https://gitlab.com/gitlab-com/www-gitlab-com/-/compare/ca5b7b2e008f97ed2646473345daaa399cbd3527...28106dce7c72895353fda477ab6627a555ca9e5a
The path for Bitbucket Cloud is not documented.
"""

import re

from logs.circleci.payload import web_url_at
from logs.circleci.strict_json import parse_payload
from logs.exceptions import PayloadMalformed

_REVISION = re.compile("[0-9a-f]{7,64}")
# Nothing in which a browser would see more than a host and a path: user names, backslashes, dot segments, whitespace.
_REPOSITORY = re.compile(r"https://[a-z0-9.-]+(:[0-9]{1,5})?(/(?!\.+(/|$))[\w.~-]+){2,}", re.ASCII | re.IGNORECASE)

# The path of the page that compares two commits, after the repository's URL.
_GITHUB = "/compare/{good}...{bad}"
_GITLAB = "/-/compare/{good}...{bad}"
_BITBUCKET = "/branches/compare/{bad}%0D{good}"


def compare_url(body: bytes, *, good: str, bad: str) -> str:
    """Return the URL of the code host's page that compares two commits.

    Return "" if the payload does not contain the URL of a repository, if the kind of code host is unknown, or if a hash
    is missing. The payload names the host, so it must be signed.

    Args:
        body: an event's payload.
        good: the hash of the older commit.
        bad: the hash of the newer commit.
    """
    if good == bad or not (_REVISION.fullmatch(good) and _REVISION.fullmatch(bad)):
        return ""
    try:
        document = parse_payload(body)
    except PayloadMalformed:  # An older version of webhooklog accepted the body.
        return ""
    repository, path = _repository_of(document)
    repository = repository.removesuffix("/").removesuffix(".git")
    return repository + path.format(good=good, bad=bad) if _REPOSITORY.fullmatch(repository) else ""


def _repository_of(document: dict[str, object]) -> tuple[str, str]:
    """Return the repository's URL and the path of its page that compares; an empty URL if the code host is unknown."""
    # GitHub OAuth, also with GitHub Enterprise Server, or Bitbucket Cloud.
    if url := web_url_at(document, "pipeline.vcs.target_repository_url"):
        return url, _BITBUCKET if url.startswith("https://bitbucket.org/") else _GITHUB
    if url := web_url_at(document, "pipeline.trigger_parameters.gitlab.web_url"):
        return url, _GITLAB
    # GitHub App. Bitbucket Data Center has its URL here too, usually with ssh:, and compares at another path.
    url = web_url_at(document, "pipeline.trigger_parameters.git.checkout_url")
    return url if url.startswith("https://github.com/") else "", _GITHUB
