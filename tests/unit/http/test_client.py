"""The client is seen through trusted proxies only."""

from ipaddress import ip_network

import pytest
from django.test import RequestFactory

from logs.http.client import client_address, counted_address


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
        # Azure's gateways append the port, others brackets or quotes.
        (["10.0.0.0/8"], "10.0.0.2", "203.0.113.9:17085", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.2", "[2001:db8::7]", "2001:db8::7"),
        (["10.0.0.0/8"], "10.0.0.2", "[2001:db8::7]:4711", "2001:db8::7"),
        (["10.0.0.0/8"], "10.0.0.2", "[2001:DB8:0:0::7]:4711", "2001:db8::7"),
        (["10.0.0.0/8"], "10.0.0.2", "[fe80::1%25eth0]:4711", "fe80::1"),
        (["10.0.0.0/8"], "10.0.0.2", "[::ffff:203.0.113.9]:4711", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.2", '"[2001:db8::7]:4711"', "2001:db8::7"),
        (["10.0.0.0/8"], "10.0.0.2", '  "203.0.113.9:17085"  ', "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.2", '"198.51.100.7, 203.0.113.9:17085', "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.2", "198.51.100.7:1, 203.0.113.9:17085,10.0.0.3:443", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.2", "198.51.100.7, 203.0.113.9:17085, [::ffff:10.0.0.3]:443", "203.0.113.9"),
    ],
)
def test_sees_the_client_through_trusted_proxies_only(settings, trusted, remote, forwarded, expected):
    settings.TRUSTED_PROXIES = [ip_network(network) for network in trusted]
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    request = RequestFactory().post("/", REMOTE_ADDR=remote, headers=headers)
    assert client_address(request) == expected


@pytest.mark.parametrize(
    "part",
    [
        "",
        " ",
        '""',
        "unknown",
        "_hidden",
        "_SEVKISEK",
        "unix:",
        "203.0.113.9:",
        "203.0.113.9:port",
        "203.0.113.9:170850",
        "203.0.113.9:\u0661",
        "203.0.113.9:1:2",
        "203.0.113.9/32",
        "203.0.113",
        "203.0.113.256:80",
        "[",
        "[]",
        "[]:80",
        "[2001:db8::7",
        "2001:db8::7]",
        "[2001:db8::7]80",
        "[2001:db8::7]:",
        "[[2001:db8::7]]:80",
        "[2001:db8::7]:80]:80",
        "%",
        "%eth0",
        ":80",
        "for=203.0.113.9",
        "\x00",
        "[" * 8_000,
        "1" * 8_000 + ":80",
    ],
)
def test_a_part_that_names_no_client_makes_none_before_it_believed(settings, part):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8")]

    def seen(forwarded):
        return client_address(RequestFactory().post("/", REMOTE_ADDR="10.0.0.2", HTTP_X_FORWARDED_FOR=forwarded))

    assert seen(f"198.51.100.7, {part}, 10.0.0.3") == "10.0.0.3"
    assert seen(f"198.51.100.7, {part}") == "10.0.0.2"


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("", None),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("2001:db8::7", "2001:db8::"),
        ("2001:db8:0:1::7", "2001:db8:0:1::"),
        ("::1", "::"),
    ],
)
def test_counts_all_of_an_ipv6_network_as_one_client(remote, expected):
    assert counted_address(RequestFactory().post("/", REMOTE_ADDR=remote)) == expected
