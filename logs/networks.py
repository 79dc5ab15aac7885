"""The network under which limits count a client."""

from ipaddress import IPv6Network


def network_address(address: str | None) -> str | None:
    """Return the first IP address of the /64 of an IPv6 address; return any other IP address unchanged.

    A host usually has a whole /64 and can send each request from a different IP address in it.
    """
    if address is None or ":" not in address:
        return address
    return str(IPv6Network((address, 64), strict=False).network_address)
