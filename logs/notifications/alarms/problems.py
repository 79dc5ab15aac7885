"""What all kinds of alarms share: the form of a problem, and how a project is named."""

from collections.abc import Collection
from typing import Any

MAX_NAMES = 15  # In one alarm.

# By key: what the messages about a problem say, as JSON.
Problems = dict[str, dict[str, Any]]


def name_of_project(project_slug: str, project: str) -> str:
    """Return the name that people know: acme/garden for github/acme/garden.

    The slugs of circleci/… consist of ids; there, the project's own name is returned.
    """
    provider, _, name = project_slug.partition("/")
    return project if provider == "circleci" and project else name or project_slug


def some_names(names: Collection[str]) -> list[str]:
    """Return the first names, in alphabetical order."""
    return sorted(names)[:MAX_NAMES]
