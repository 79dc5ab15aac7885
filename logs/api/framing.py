"""Whether a client can tell a stream that broke off from a complete one."""

from django.http import HttpRequest

from logs.api.errors import HTTPVersionTooOld, ServerEndsBrokenStreams

# Without chunks, the end of the connection is the end of the answer, whatever caused it.
VERSIONS_WITHOUT_CHUNKS = {"0.9", "1.0"}
# It sends the last chunk when reading the rows has failed (granian 2.8.7).
SERVER_THAT_ENDS_BROKEN_STREAMS = "Granian"


def require_visible_end(request: HttpRequest) -> None:
    """Reject a stream whose failure would look like its end.

    Proxies report in ``Via`` by which version they received the request: their answer goes back by the same one.

    Raises:
        HTTPVersionTooOld: the server, or a proxy that reports it, was asked by a version without chunks.
        ServerEndsBrokenStreams: the server is not one that breaks the connection.
    """
    hops = [request.META.get("SERVER_PROTOCOL", ""), *request.META.get("HTTP_VIA", "").split(",")]
    versions = {hop.split()[0].upper().removeprefix("HTTP/") for hop in hops if hop.strip()}
    if versions & VERSIONS_WITHOUT_CHUNKS:
        raise HTTPVersionTooOld
    if request.META.get("SERVER_SOFTWARE", "").startswith(SERVER_THAT_ENDS_BROKEN_STREAMS):
        raise ServerEndsBrokenStreams
