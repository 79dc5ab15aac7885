"""Run a watch that has channels of the kind "pager": ``python -m tests.load.pager``.

Their messages are never combined, so that each can be followed. Leases and pauses are shorter than on a real site, so
that more kills hit a message in flight; everything else is the site's own code.
"""

import os
from datetime import timedelta

import django
from django.core.management import call_command

CHANNEL_LEASE = timedelta(seconds=4)  # Longer than SECONDS_PER_REQUEST of the scenario.
TASK_LEASE = timedelta(seconds=2)
PAUSE = timedelta(seconds=1)  # After a failure.


def main():
    """Shorten leases and pauses, add the kind, and run the watch until it is ended."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooklog.settings")
    django.setup()
    # Only after the settings are read.
    from logs.notifications import consequences, sending  # noqa: PLC0415
    from logs.notifications.channels import TRANSPORTS  # noqa: PLC0415
    from logs.notifications.channels.slack import SlackTransport  # noqa: PLC0415
    from logs.watch import leases  # noqa: PLC0415

    class Pager(SlackTransport):
        kind = "pager"
        is_combined = False

    TRANSPORTS["pager"] = Pager()
    sending.LEASE, consequences.PAUSES = CHANNEL_LEASE, [PAUSE]
    leases.LEASE, leases.RENEW_AFTER_SECONDS, leases.RETRY_AFTER_SECONDS = TASK_LEASE, 0.5, 0.2
    call_command("watch")


if __name__ == "__main__":
    main()
