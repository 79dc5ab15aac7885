"""The network that each limit treats as one client, and the size of private networks."""

from ipaddress import IPv4Network, IPv6Network

# By IP version. A network with a shorter prefix is larger than any private range (10.0.0.0/8, fc00::/7).
SHORTEST_PREFIXES = {4: 8, 6: 7}


def network_address(address: str | None) -> str | None:
    """Return the first IP address in an IPv6 address's /64; return any other IP address unchanged.

    A host usually has a whole /64 and can send each request from a different IP address in it.
    """
    if address is None or ":" not in address:
        return address
    return str(IPv6Network((address, 64), strict=False).network_address)


def is_larger_than_private(network: IPv4Network | IPv6Network) -> bool:
    """Return whether a network is larger than any private range, such as 10.0.0.0/8."""
    return network.prefixlen < SHORTEST_PREFIXES[network.version]
