"""The network that each limit treats as one client."""

from ipaddress import IPv6Network


def network_address(address: str | None) -> str | None:
    """Return the first IP address in an IPv6 address's /64; return any other IP address unchanged.

    A host usually has a whole /64 and can send each request from a different IP address in it.
    """
    if address is None or ":" not in address:
        return address
    return str(IPv6Network((address, 64), strict=False).network_address)
