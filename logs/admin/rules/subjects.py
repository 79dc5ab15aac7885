"""Which settings of a rule matter for its subject."""

from collections.abc import Mapping

from logs.models import Subject

ALWAYS = ("name", "subject")
_FILTERS = ("projects", "workflows", "branches")

# In the order of the form.
# fmt: off
SETTINGS: Mapping[str, tuple[str, ...]] = {
    Subject.CHANGES: ("on_broke", "on_fixed", *_FILTERS, "authors", "after_failures", "remind_every_hours",
                      "allow_unverified", "channels"),
    Subject.RUNS:    (*_FILTERS, "tags", "authors", "statuses", "allow_unverified", "channels"),
    Subject.JOBS:    (*_FILTERS, "tags", "authors", "statuses", "allow_unverified", "channels"),
    Subject.LOG:     ("alarms", "projects", "channels"),
}
# fmt: on


def subjects_with(setting: str) -> list[str]:
    """Return the subjects for which a setting matters."""
    return [str(subject) for subject, settings in SETTINGS.items() if setting in (*ALWAYS, *settings)]
