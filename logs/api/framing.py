"""Reject streams if their client could not tell a truncated stream from a complete one."""

from django.http import HttpRequest

from logs.api.errors import HTTPVersionTooOld, ServerEndsBrokenStreams

# Without chunks, the end of the connection is the end of the response, whatever caused it.
VERSIONS_WITHOUT_CHUNKS = {"0.9", "1.0"}
# granian 2.8.7 sends the last chunk even if reading the rows has failed.
SERVER_THAT_ENDS_BROKEN_STREAMS = "Granian"


def require_visible_end(request: HttpRequest) -> None:
    """Reject a stream whose failure would look like its end.

    In ``Via``, proxies report the HTTP version of the request they received. They respond in the same version.

    Raises:
        HTTPVersionTooOld: the server or a proxy that sends ``Via`` received the request over a version without chunks.
        ServerEndsBrokenStreams: the server does not break the connection when a stream fails.
    """
    hops = [request.META.get("SERVER_PROTOCOL", ""), *request.META.get("HTTP_VIA", "").split(",")]
    versions = {hop.split()[0].upper().removeprefix("HTTP/") for hop in hops if hop.strip()}
    if versions & VERSIONS_WITHOUT_CHUNKS:
        raise HTTPVersionTooOld
    if request.META.get("SERVER_SOFTWARE", "").startswith(SERVER_THAT_ENDS_BROKEN_STREAMS):
        raise ServerEndsBrokenStreams
