"""Count failed sign-ins so that deliveries need not wait for it."""

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.http import HttpRequest

from logs.ingest.writing import durable_transaction
from logs.proxies import network_address


class QueuedLockoutHandler(AxesDatabaseHandler):  # type: ignore[misc]  # Axes has no types.
    """Writes what a failure needs in one transaction, and in this process's turn to write to SQLite.

    Axes by itself takes SQLite's lock several times for one failure, past the queue of deliveries.
    """

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        """Count a failure."""
        with durable_transaction():
            super().user_login_failed(sender, credentials, request, **kwargs)

    def reset_attempts(self, *, ip_address: str | None = None, **kwargs: Any) -> int:
        """Forget the failures of a client, by any of its addresses, and return how many rows that removes."""
        return super().reset_attempts(ip_address=network_address(ip_address), **kwargs)  # type: ignore[no-any-return]
