"""All guards, and how docs/reliability.md shows them."""

from tests.load.guards import (
    answers,
    arrivals,
    authenticity,
    figures,
    inspection,
    lists,
    logs,
    operations,
    pages,
    payloads,
    settings,
    storage,
    versions,
    workbench,
)

GUARDS = [
    *authenticity.GUARDS,
    *arrivals.GUARDS,
    *payloads.GUARDS,
    *versions.GUARDS,
    *storage.GUARDS,
    *answers.GUARDS,
    *pages.GUARDS,
    *lists.GUARDS,
    *workbench.GUARDS,
    *inspection.GUARDS,
    *operations.GUARDS,
    *figures.GUARDS,
    *logs.GUARDS,
    *settings.GUARDS,
]


def documentation():
    """Return the lines of the table in docs/reliability.md."""
    head = ["| Guard | Change that breaks it | Test that goes red |", "|---|---|---|"]
    return [*head, *(f"| {guard.promise} | {guard.change} | `{guard.test_name}` |" for guard in GUARDS)]
