"""Finding a project among those with counted runs."""

import pytest

from logs.insights.projects import Project, find_projects

APP = "circleci/E7VjuYmwuGTU4ZfcPinbTj/nF7w3FnYsCCVFSm9148oMk"
# fmt: off
PROJECTS = [
    Project(slug=APP,                    name="harbour",  label="harbour"),
    Project(slug=APP,                    name="old name", label="old name"),
    Project(slug="github/acme/press",    name="press",    label="github/acme/press"),
    Project(slug="github/orchard/press", name="press",    label="github/orchard/press"),
    Project(slug="github/orchard/Mill",  name="Mill",     label="github/orchard/Mill"),
    Project(slug="github/orchard/mill",  name="mill",     label="github/orchard/mill"),
]
# fmt: on


@pytest.mark.parametrize(
    ("text", "slugs"),
    [
        ("Harbour", [APP]),
        ("old name", [APP]),
        (APP, [APP]),
        (APP.lower(), [APP]),
        ("PRESS", ["github/acme/press", "github/orchard/press"]),
        ("gh/acme/press", ["github/acme/press"]),
        ("GITHUB/ACME/PRESS", ["github/acme/press"]),
        ("mill", ["github/orchard/mill"]),
        ("github/orchard/Mill", ["github/orchard/Mill"]),
        ("MILL", ["github/orchard/Mill", "github/orchard/mill"]),
    ],
)
def test_finds_projects_by_name_or_slug_in_any_case_but_prefers_the_exact_one(text, slugs):
    assert [each.slug for each in find_projects(text, PROJECTS)] == slugs
