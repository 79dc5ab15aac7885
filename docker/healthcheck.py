"""Tell Docker whether this container can log deliveries: end with 0 if so, and otherwise with 1 and the reason.

It asks /readyz rather than /healthz: CircleCI raises no alarm when its deliveries fail, so the state that ``docker ps``
shows is to be that of the whole way to the database. Docker itself restarts nothing for it; an orchestrator that kills
what is unhealthy should ask /healthz instead, since a restart brings no database back.
"""

import http.client
import os
import sys

TIMEOUT_SECONDS = 5


def main() -> None:
    """Ask, and end with what is wrong unless the answer is 200."""
    port = int(os.environ.get("PORT") or 8000)
    # Not urllib.request, which would send the question to the proxy of an HTTP_PROXY variable.
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
