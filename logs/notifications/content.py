"""The content of a message, independent of where it is sent. It is stored before the first attempt."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

CIRCLECI = "https://app.circleci.com/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of a message. All text may come from a stranger's fork: each transport escapes it."""

    kind: str  # A NotificationKind.
    tone: str  # "good" or "bad"; decides the colour.
    headline: str  # "build broke on main"
    facts: Sequence[tuple[str, str]]  # Names and values, the most important first.
    links: Sequence[tuple[str, str]]  # Titles and https URLs.
    project: str
    project_slug: str
    workflow: str
    branch: str
    happened_at: str  # In ISO 8601, UTC.
    data: dict[str, Any]  # The columns of the change, for programs.

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Return the content in a JSON object."""
        pairs = {name: [(str(first), str(second)) for first, second in document[name]] for name in ("facts", "links")}
        return cls(**document | pairs)

    @property
    def subject(self) -> str:
        """The headline with the project: "acme/orchard: build broke on main"."""
        return f"{self.project}: {self.headline}" if self.project else self.headline

    @property
    def time(self) -> datetime:
        """When it happened."""
        return datetime.fromisoformat(self.happened_at)
