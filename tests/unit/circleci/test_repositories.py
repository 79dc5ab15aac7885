"""Links to the page of the code host that compares two commits."""

import json
from random import Random

import pytest

from logs.circleci import samples
from logs.circleci.repositories import compare_url
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


def compare(document, good=GOOD, bad=BAD):
    return compare_url(json.dumps(document).encode(), good=good, bad=bad)


def vcs(url):
    return {"pipeline": {"vcs": {"provider_name": "github", "target_repository_url": url}}}


def gitlab(url):
    return {"pipeline": {"trigger_parameters": {"gitlab": {"web_url": url}}}}


def checkout(url):
    return {"pipeline": {"trigger_parameters": {"git": {"checkout_url": url}}}}


def test_each_host_has_its_case():
    assert PAGES.keys() == set(Host)


@pytest.mark.parametrize("host", Host)
@pytest.mark.parametrize("options", [{}, {"tag": "v1"}, {"by_api": True}])
def test_compares_two_commits_on_each_code_host(host, options):
    assert compare(samples.workflow_completed(random=Random(1), host=host, **options)) == PAGES[host]


@pytest.mark.parametrize("make", [vcs, gitlab, checkout])
@pytest.mark.parametrize("url", HOSTILE_URLS + NO_TEXTS)
def test_links_to_nothing_but_a_repository(make, url):
    assert compare(make(url)) == ""


@pytest.mark.parametrize(
    ("document", "page"),
    [
        (gitlab("https://gitlab.com/acme/fruit/stone/plums"), "https://gitlab.com/acme/fruit/stone/plums/-/compare/"),
        (gitlab("https://git.acme.example:8443/a/b_c.d"), "https://git.acme.example:8443/a/b_c.d/-/compare/"),
        (vcs("https://github.acme.example/acme/orchard"), "https://github.acme.example/acme/orchard/compare/"),
        (vcs("https://github.com/acme/.github"), "https://github.com/acme/.github/compare/"),
        (vcs("https://github.com/acme/orchard/"), f"{GITHUB}/compare/"),
        (vcs("https://github.com/acme/orchard.git"), f"{GITHUB}/compare/"),
        (checkout("https://github.com/acme/orchard.git"), f"{GITHUB}/compare/"),
    ],
)
def test_finds_the_page_of_other_repositories(document, page):
    assert compare(document) == f"{page}{GOOD}...{BAD}"


def test_another_hosts_checkout_url_has_no_known_page():
    assert compare(checkout("https://bitbucket.acme.example/scm/acme/orchard.git")) == ""


@pytest.mark.parametrize(
    "revision",
    ["", "a" * 6, "a" * 65, "A" * 40, "g" * 40, "main", "HEAD", f"{GOOD}\n", f"{GOOD}...{BAD}", "../../evil"],
)
def test_links_only_to_hashes(revision):
    assert compare(vcs(GITHUB), good=revision) == ""
    assert compare(vcs(GITHUB), bad=revision) == ""


def test_a_commit_is_not_compared_to_itself():
    assert compare(vcs(GITHUB), bad=GOOD) == ""


@pytest.mark.parametrize("length", [7, 40, 64])
def test_hashes_may_be_short_or_long(length):
    assert compare(vcs(GITHUB), good="a" * length, bad="b" * length) != ""


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"{}", b"\xff", b'{"a": 1, "a": 2}', b'{"pipeline": []}'])
def test_a_body_without_a_repository_has_no_page(body):
    assert compare_url(body, good=GOOD, bad=BAD) == ""
