"""Find the client's IP address behind the proxies in TRUSTED_PROXIES, and the IP address that limits apply to."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest

from logs.networks import network_address

# IPv6 in brackets, with or without a port, and IPv4 with a port: [2001:db8::7]:4711, 203.0.113.9:17085. Azure's
# gateways write ports.
# Source: https://azure.microsoft.com/en-us/blog/rewrite-http-headers-with-azure-application-gateway/ (read 2026-11-28).
WITH_PORT = re.compile(r"\[(.+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


def client_address(request: HttpRequest) -> str | None:
    """Return the client's IP address behind the proxies in TRUSTED_PROXIES; None on a Unix socket.

    X-Forwarded-For is read from the end, which the trusted proxies wrote. The client may have invented everything
    before the first untrusted IP address. An empty or invalid part ends the search for the same reason: the proxy that
    wrote it did not name its client, which may have sent everything before it.
    """
    address = _peer(request)
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
    for hop in reversed(forwarded.split(",")) if forwarded else ():
        if not _is_trusted(address) or _address(hop) is None:
            break
        address = _address(hop)
    return str(address) if address else None


def counted_address(request: HttpRequest) -> str | None:
    """Return the IP address by which limits identify the client; None on a Unix socket."""
    return network_address(client_address(request))


def comes_from_proxy(request: HttpRequest) -> bool:
    """Return whether a proxy in TRUSTED_PROXIES sent the request, so the request's headers can be trusted."""
    return _is_trusted(_peer(request))


def _peer(request: HttpRequest) -> IPv4Address | IPv6Address | None:
    return _address(request.META.get("REMOTE_ADDR", ""))


def _is_trusted(address: IPv4Address | IPv6Address | None) -> bool:
    return address is not None and any(address in network for network in settings.TRUSTED_PROXIES)


@lru_cache(maxsize=1000)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip().strip('"')
    if found := WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        # Without the scope of a link-local IP address, which PostgreSQL rejects.
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    # A server that listens on both IP versions sees 10.0.0.2 as ::ffff:10.0.0.2.
    return getattr(address, "ipv4_mapped", None) or address
