"""A guard of the code's, and the change that takes it away."""

from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One promise of security, durability or boundedness that some lines of code keep."""

    promise: str
    change: str  # What breaks it, in words.
    file: str  # Within the project's folder.
    before: str  # The code; it stands exactly once in the file.
    after: str  # The code that breaks the promise.
    test: str  # "path::name" of a test that this turns red.
    only_on: str = ""  # The database on which alone it shows; "" where either will do.

    def without(self, project):
        """Return its file's text without the guard.

        Raises:
            ValueError: its code does not stand there exactly once.
        """
        text = (project / self.file).read_text(encoding="utf-8")
        count = text.count(self.before)
        if count != 1:
            raise ValueError(f"the code of {self.promise!r} stands {count} times in {self.file}, not once")
        return text.replace(self.before, self.after)

    @property
    def test_path(self):
        """The file of its test."""
        return self.test.partition("::")[0]

    @property
    def test_name(self):
        """The name of its test."""
        return self.test.partition("::")[2]
