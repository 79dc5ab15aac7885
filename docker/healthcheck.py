"""Check for Docker whether this container can log deliveries: exit with 0, or with 1 and the reason.

Request /readyz, not /healthz: CircleCI does not report failed deliveries, so ``docker ps`` should show the state of the
database too. Docker does not restart unhealthy containers. An orchestrator that does should request /healthz instead,
because a restart does not repair a database.
"""

import http.client
import os
import sys

TIMEOUT_SECONDS = 5


def main() -> None:
    """Request /readyz, and exit with an error unless the status is 200."""
    port = int(os.environ.get("PORT") or 8000)
    # Not urllib.request, which would use the proxy of an HTTP_PROXY variable.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/readyz", headers={"User-Agent": "webhooklog-healthcheck"})
        response = connection.getresponse()
        answer = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"no answer on port {port}: {error}")
    if response.status != http.client.OK:
        sys.exit(f"{response.status} {answer}")


if __name__ == "__main__":
    main()
