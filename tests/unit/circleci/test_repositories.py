"""Links to a repository, a commit and the changes between two commits at the code host."""

import json
from random import Random

import pytest

from logs.circleci import samples
from logs.circleci.repositories import repository_of
from logs.circleci.samples import Host

GOOD, BAD = "a" * 40, "b" * 40
GITHUB = "https://github.com/acme/orchard"
# fmt: off
PAGES = {
    Host.GITHUB_OAUTH:    f"{GITHUB}/compare/{GOOD}...{BAD}",
    Host.GITHUB_APP:      f"{GITHUB}/compare/{GOOD}...{BAD}",
    Host.GITLAB:          f"https://gitlab.com/acme/orchard/-/compare/{GOOD}...{BAD}",
    Host.BITBUCKET_CLOUD: f"https://bitbucket.org/acme/orchard/branches/compare/{BAD}%0D{GOOD}",
    Host.BITBUCKET_DC:    "",  # Its payload has an SSH URL only.
}
COMMITS = {
    Host.GITHUB_OAUTH:    f"{GITHUB}/commit/{BAD}",
    Host.GITHUB_APP:      f"{GITHUB}/commit/{BAD}",
    Host.GITLAB:          f"https://gitlab.com/acme/orchard/-/commit/{BAD}",
    Host.BITBUCKET_CLOUD: f"https://bitbucket.org/acme/orchard/commits/{BAD}",
    Host.BITBUCKET_DC:    "",
}
# fmt: on
HOSTILE_URLS = [
    "javascript:alert(1)//github.com/acme/orchard",
    "JavaScript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "http://github.com/acme/orchard",
    "//github.com/acme/orchard",
    "ssh://git@github.com/acme/orchard",
    "git@github.com:acme/orchard.git",
    "https://token@github.com/acme/orchard",
    "https://user:password@github.com/acme/orchard",
    "https://github.com@evil.example/acme/orchard",
    "https://github.com\\@evil.example/acme/orchard",
    "https://github.com\\evil.example/acme/orchard",
    'https://github.com/acme/orchard?tab="><script>alert(1)</script>',
    "https://github.com/acme/orchard#fragment",
    'https://github.com/acme/orchard" onclick="alert(1)',
    "https://github.com/acme/<b>",
    "https://github.com/acme/or chard",
    "https://github.com/acme/orchard\n",
    "https://github.com/acme/or\tchard",
    "https://github.com/acme/orch\u202eard",
    "https://github.com/acme/orchard\x00",
    "https://github.com/acme/%2e%2e",
    "https://github.com/acme/..",
    "https://github.com/../evil/orchard",
    "https://github.com/acme//orchard",
    "https://github.com:port/acme/orchard",
    "https://gith\u0443b.com/acme/orchard",
    "https://[::1]/acme/orchard",
    "https://github.com/acme",
    "https://github.com/",
    "https:///acme/orchard",
    "https://",
    "",
]
NO_TEXTS = [None, 7, True, ["https://github.com/acme/orchard"], {"url": "https://github.com/acme/orchard"}]


def read(document):
    return repository_of(json.dumps(document).encode())


def compare(document, good=GOOD, bad=BAD):
    repository = read(document)
    return repository.compare_url(good=good, bad=bad) if repository else ""


def commit(document, revision=BAD):
    repository = read(document)
    return repository.commit_url(revision) if repository else ""


def vcs(url):
    return {"pipeline": {"vcs": {"provider_name": "github", "target_repository_url": url}}}


def gitlab(url):
    return {"pipeline": {"trigger_parameters": {"gitlab": {"web_url": url}}}}


def checkout(url):
    return {"pipeline": {"trigger_parameters": {"git": {"checkout_url": url}}}}


def test_each_host_has_its_case():
    assert PAGES.keys() == COMMITS.keys() == set(Host)


@pytest.mark.parametrize("host", Host)
@pytest.mark.parametrize("options", [{}, {"tag": "v1"}, {"by_api": True}])
def test_links_to_a_commit_and_compares_two_on_each_code_host(host, options):
    document = samples.workflow_completed(random=Random(1), host=host, **options)
    assert (commit(document), compare(document)) == (COMMITS[host], PAGES[host])


@pytest.mark.parametrize("make", [vcs, gitlab, checkout])
@pytest.mark.parametrize("url", HOSTILE_URLS + NO_TEXTS)
def test_links_to_nothing_but_a_repository(make, url):
    assert read(make(url)) is None


@pytest.mark.parametrize(
    ("document", "url", "host", "infix"),
    [
        (gitlab("https://gitlab.com/acme/a/b/c"), "https://gitlab.com/acme/a/b/c", "gitlab.com", "/-"),
        (gitlab("https://git.acme.example:8443/a/b_c.d"), "https://git.acme.example:8443/a/b_c.d", None, "/-"),
        (gitlab("https://gitlab.com/acme/orchard.git/"), "https://gitlab.com/acme/orchard", "gitlab.com", "/-"),
        (vcs("https://github.acme.example/acme/orchard"), "https://github.acme.example/acme/orchard", None, ""),
        (vcs("https://github.acme.example:8443/a/b.git"), "https://github.acme.example:8443/a/b", None, ""),
        (vcs("https://github.com/acme/.github"), "https://github.com/acme/.github", "github.com", ""),
        (vcs("https://github.com/acme/orchard/"), GITHUB, "github.com", ""),
        (vcs("https://github.com/acme/orchard.git"), GITHUB, "github.com", ""),
        (checkout("https://github.com/acme/orchard.git"), GITHUB, "github.com", ""),
    ],
)
def test_finds_the_pages_of_other_repositories(document, url, host, infix):
    repository = read(document)
    assert (repository.url, repository.host) == (url, host or url.split("/")[2])
    assert commit(document) == f"{url}{infix}/commit/{BAD}"
    assert compare(document) == f"{url}{infix}/compare/{GOOD}...{BAD}"


def test_another_hosts_checkout_url_has_no_known_page():
    assert read(checkout("https://bitbucket.acme.example/scm/acme/orchard.git")) is None


@pytest.mark.parametrize(
    "revision",
    ["", "a" * 6, "a" * 65, "A" * 40, "g" * 40, "main", "HEAD", f"{GOOD}\n", f"{GOOD}...{BAD}", "../../evil"],
)
def test_links_only_to_hashes(revision):
    assert compare(vcs(GITHUB), good=revision) == ""
    assert compare(vcs(GITHUB), bad=revision) == ""
    assert commit(vcs(GITHUB), revision) == ""


def test_a_commit_is_not_compared_to_itself():
    assert compare(vcs(GITHUB), bad=GOOD) == ""


@pytest.mark.parametrize("length", [7, 40, 64])
def test_hashes_may_be_short_or_long(length):
    assert compare(vcs(GITHUB), good="a" * length, bad="b" * length) != ""
    assert commit(vcs(GITHUB), "a" * length) == f"{GITHUB}/commit/{'a' * length}"


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"{}", b"\xff", b'{"a": 1, "a": 2}', b'{"pipeline": []}'])
def test_a_body_without_a_repository_has_no_page(body):
    assert repository_of(body) is None
