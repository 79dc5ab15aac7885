"""The client is seen through trusted proxies only."""

from ipaddress import ip_network

import pytest
from django.test import RequestFactory

from logs.proxies import client_address


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "expected"),
    [
        ([], "192.0.2.1", None, "192.0.2.1"),
        # Nobody is trusted: the header is the client's own invention.
        ([], "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (["10.0.0.0/8"], "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        # What the trusted proxy has written stands last; what stands before it may be forged.
        (["10.0.0.0/8"], "10.0.0.2", "198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.2", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.2", "203.0.113.9, 198.51.100.7, 10.0.0.3", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.2", "10.0.0.4,10.0.0.3", "10.0.0.4"),
        (["10.0.0.0/8"], "10.0.0.2", None, "10.0.0.2"),
        (["10.0.0.0/8"], "10.0.0.2", "unknown", "10.0.0.2"),
        (["10.0.0.0/8"], "10.0.0.2", "198.51.100.7, <script>", "10.0.0.2"),
        (["::1"], "::1", "2001:db8::7", "2001:db8::7"),
        (["10.0.0.0/8"], "::ffff:10.0.0.2", "198.51.100.7", "198.51.100.7"),
        ([], "fe80::1%eth0", None, "fe80::1"),
        (["10.0.0.0/8"], "", "198.51.100.7", None),
    ],
)
def test_sees_the_client_through_trusted_proxies_only(settings, trusted, remote, forwarded, expected):
    settings.TRUSTED_PROXIES = [ip_network(network) for network in trusted]
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    request = RequestFactory().post("/", REMOTE_ADDR=remote, headers=headers)
    assert client_address(request) == expected
