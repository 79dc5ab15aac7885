"""Requests to URLs that users entered reach the internet and nothing else, and end in time."""

import re
import socket
import ssl
import threading
import time
import traceback
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from logs.notifications import guard
from logs.notifications.guard import ForbiddenAddress, Request, Response, Unreachable

PUBLIC = "93.184.215.14"
TOKEN = "T0K3N-of-a-channel"
MEBIBYTE = 2**20


class FakeNetwork:
    """Resolves names from a table, counts look-ups, and connects to nothing."""

    def __init__(self):
        self.names = {}
        self.lookups = []
        self.connections = []

    def getaddrinfo(self, host, port, *args, **kwargs):
        self.lookups.append(host)
        addresses = self.names.get(host, [host])
        if callable(addresses):
            addresses = addresses()
        try:
            found = [str(ip_address(address)) for address in addresses]
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in found]
        ends = [(address, port, 0, 0) if ":" in address else (address, port) for address in found]
        return [(family, socket.SOCK_STREAM, 6, "", end) for family, end in zip(families, ends, strict=True)]

    def create_connection(self, address, *args, **kwargs):
        self.connections.append(address)
        raise ConnectionRefusedError


@pytest.fixture
def network(monkeypatch):
    fake = FakeNetwork()
    monkeypatch.setattr(socket, "getaddrinfo", fake.getaddrinfo)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", fake.create_connection)
    return fake


@pytest.fixture
def local_allowed(settings):
    settings.NOTIFICATION_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]


def request_to(url, **options):
    return Request(url=url, body=b"{}", **options)


def reason_of(url):
    """Return why nothing was reached, once it is certain that the reason does not contain the URL."""
    with pytest.raises(Unreachable) as caught:
        guard.send(request_to(url))
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert url not in shown
    assert TOKEN not in shown
    return str(caught.value)


# Addresses.

# fmt: off
PRIVATE = {
    "127.0.0.1":                 None,
    "localhost":                 ["::1", "127.0.0.1"],
    "2130706433":                ["127.0.0.1"],  # As the C library reads it.
    "0x7f.1":                    ["127.0.0.1"],
    "[::1]":                     None,
    "[::ffff:127.0.0.1]":        None,
    "rebinds.example":           ["127.0.0.1"],
    "mixed.example":             [PUBLIC, "10.0.0.7"],
    "mixed-again.example":       ["10.0.0.7", PUBLIC],
    "mapped.example":            ["::ffff:10.0.0.7"],
    "[64:ff9b::7f00:1]":         None,           # NAT64.
    "[64:ff9b:1::7f00:1]":       None,           # NAT64 with a local prefix.
    "[2002:7f00:1::]":           None,           # 6to4.
    "[2001:0:7f00:1::]":         None,           # Teredo.
    "100.64.0.1":                None,           # Carrier-grade NAT.
    "169.254.169.254":           None,           # Metadata of clouds.
    "192.0.0.192":               None,           # The same, at Oracle.
    "[fd00:ec2::254]":           None,           # The same, at Amazon.
    "0.0.0.0":                   None,
    "[::]":                      None,
    "10.1.2.3":                  None,
    "172.16.0.1":                None,
    "192.168.0.1":               None,
    "198.18.0.1":                None,           # Benchmarks.
    "192.88.99.1":               None,           # 6to4 relays.
    "224.0.0.1":                 None,
    "255.255.255.255":           None,
    "240.0.0.1":                 None,
    "[ff0e::1]":                 None,
    "[fe80::1]":                 None,
    "[fec0::1]":                 None,           # Site-local.
    "[::7f00:1]":                None,           # IPv4-compatible.
    "[::ffff:0:127.0.0.1]":      None,           # IPv4-translated.
    "[2001:db8::1]":             None,           # Documentation.
    "[3fff::1]":                 None,           # The same.
    "[5f00::1]":                 None,           # Segment routing.
}
# fmt: on


@pytest.mark.parametrize("host", PRIVATE)
def test_reaches_no_private_address(network, host):
    name = host.strip("[]")
    network.names = {name: PRIVATE[host] or [name]}
    assert "which channels may not reach" in reason_of(f"https://{host}/{TOKEN}")
    assert (network.lookups, network.connections) == ([name], [])


def test_connects_to_the_address_that_was_judged(network):
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    network.names = {"rebinds.example": lambda: next(answers)}
    assert reason_of(f"https://rebinds.example/{TOKEN}") == "it could not be reached"
    assert network.lookups == ["rebinds.example"]
    assert network.connections == [(PUBLIC, 443)]


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "192.1.0.1", f"::ffff:{PUBLIC}"])
def test_reaches_public_addresses(network, address):
    network.names = {"hooks.example": [address]}
    reason_of("https://hooks.example:8443/x")
    assert network.connections == [(str(ip_address(address)), 8443)]


def test_reaches_a_private_network_that_the_operator_allows(network, settings):
    settings.NOTIFICATION_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    network.names = {"mapped.example": ["::ffff:10.1.2.3"]}
    for url in ("https://10.1.2.3/", "http://10.1.2.3/", "https://[fd00:1::1]/", "http://mapped.example/"):
        assert reason_of(url) == "it could not be reached"
    assert network.connections == [("10.1.2.3", 443), ("10.1.2.3", 80), ("fd00:1::1", 443), ("::ffff:a01:203", 80)]
    reason_of("https://10.2.0.1/")
    assert len(network.connections) == 4


def test_an_allowed_network_does_not_allow_mixed_answers(network, settings):
    settings.NOTIFICATION_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16")]
    network.names = {"mixed.example": ["10.1.2.3", "10.2.0.1"]}
    assert "leads to 10.2.0.1" in reason_of("https://mixed.example/")
    assert network.connections == []


@pytest.mark.parametrize("addresses", [[PUBLIC], ["10.1.2.3", PUBLIC]])
def test_plain_http_reaches_only_networks_that_the_operator_allows(network, settings, addresses):
    settings.NOTIFICATION_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16")]
    network.names = {"hooks.example": addresses}
    assert "may be reached only over https" in reason_of(f"http://hooks.example/{TOKEN}")
    assert network.connections == []


def test_a_name_that_does_not_exist(network):
    assert reason_of(f"https://nowhere.example/{TOKEN}") == "the name of its server cannot be resolved"


# URLs.


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"https://ada:{TOKEN}@hooks.example/", "the URL must begin with https:// and contain no user name"),
        (f"https://{TOKEN}@hooks.example/", "the URL must begin with https:// and contain no user name"),
        (f"https://@hooks.example/{TOKEN}", "the URL must begin with https:// and contain no user name"),
        (f"https://good.example\\@127.0.0.1/{TOKEN}", "the URL must begin with https:// and contain no user name"),
        (f"ftp://hooks.example/{TOKEN}", "the URL must begin with https:// and contain no user name"),
        (f"file:///{TOKEN}", "the URL must begin with https:// and contain no user name"),
        (f"//hooks.example/{TOKEN}", "the URL must begin with https:// and contain no user name"),
        (TOKEN, "the URL must begin with https:// and contain no user name"),
        ("", "the URL must begin with https:// and contain no user name"),
        (f"https:///{TOKEN}", "the URL contains no valid host name"),
        (f"https://good.example\\.bad.example/{TOKEN}", "the URL contains no valid host name"),
        (f"https://bad example/{TOKEN}", "the URL contains no valid host name"),
        (f"https://bad%00.example/{TOKEN}", "the URL contains no valid host name"),
        (f"https://[fe80::1%25eth0]/{TOKEN}", "the URL contains no valid host name"),
        (f"https://[::1/{TOKEN}", "the URL is not valid"),
        (f"https://[{TOKEN}]/", "the URL is not valid"),
        (f"https://two..dots/{TOKEN}", "the URL is not valid"),
        (f"https://{'x' * 64}.example/{TOKEN}", "the URL is not valid"),
        (f"https://hooks.example:0/{TOKEN}", "the URL's port must be a number from 1 to 65535"),
        (f"https://hooks.example:65536/{TOKEN}", "the URL's port must be a number from 1 to 65535"),
        (f"https://hooks.example:-1/{TOKEN}", "the URL's port must be a number from 1 to 65535"),
        (f"https://hooks.example:{TOKEN}/", "the URL's port must be a number from 1 to 65535"),
    ],
)
def test_rejects_a_url_with_the_reason(network, url, reason):
    with pytest.raises(ForbiddenAddress) as caught:
        guard.send(request_to(url))
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert (str(caught.value), TOKEN in shown) == (reason, False)
    assert (network.lookups, network.connections) == ([], [])


@pytest.mark.parametrize(
    ("host", "resolved"),
    [("bücher.example", "xn--bcher-kva.example"), ("①②⑦.0.0.1", "127.0.0.1"), ("127。0。0。1", "127.0.0.1")],
)
def test_a_name_is_resolved_as_it_is_sent(network, host, resolved):
    network.names = {"xn--bcher-kva.example": ["10.0.0.7"]}
    assert "which channels may not reach" in reason_of(f"https://{host}/")
    assert network.lookups == [resolved]


def test_shows_nothing_of_a_request_or_response():
    request = request_to(f"https://hooks.example/{TOKEN}", headers={"Authorization": TOKEN})
    response = Response(status=404, headers={"x": TOKEN}, body=TOKEN.encode())
    target = guard.Target.of(f"https://hooks.example/{TOKEN}")
    assert TOKEN not in f"{request!r} {response!r} {target!r}"


# Real connections.


def headers_of(connection):
    """Read a request's head."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            break
        head += byte
    return head.decode()


@contextmanager
def serving(handle, wrap=None):
    """Run a server that hands each connection to a function; yield its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threads = []

        def accept():
            with suppress(OSError):
                while True:
                    threads.append(threading.Thread(target=answer, args=[server.accept()[0]], daemon=True))
                    threads[-1].start()

        def answer(connection):
            with suppress(OSError), closing(connection):
                if wrap:
                    with closing(wrap(connection)) as wrapped:
                        handle(wrapped)
                else:
                    handle(connection)

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        yield server.getsockname()[1]
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        for thread in [acceptor, *threads]:
            thread.join(timeout=10)


def answering(response, heads=None):
    """Return a handler that sends a response and keeps the request's head."""

    def handle(connection):
        head = headers_of(connection)
        # A connection that is closed with an unread body is reset, and the client may lose the response.
        rest = int(re.search(r"(?i)content-length: (\d+)|$", head)[1] or 0)
        while rest and (body := connection.recv(rest)):
            rest -= len(body)
        if heads is not None:
            heads.append(head)
        connection.sendall(response)

    return handle


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Id: 7\r\n\r\nok"


@pytest.mark.usefixtures("local_allowed")
def test_sends_a_request_and_returns_the_response():
    heads = []
    with serving(answering(OK, heads)) as port:
        response = guard.send(request_to(f"http://127.0.0.1:{port}/a b/ä?x=1&y=%41", headers={"X-Key": TOKEN}))
    assert (response.status, response.text, response.headers["x-id"]) == (200, "ok", "7")
    lines = heads[0].split("\r\n")
    assert lines[0] == "POST /a%20b/%C3%A4?x=1&y=%41 HTTP/1.1"
    assert {f"Host: 127.0.0.1:{port}", "User-Agent: webhooklog", f"X-Key: {TOKEN}", "Content-Length: 2"} <= set(lines)


@pytest.mark.usefixtures("local_allowed")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_does_not_follow_a_redirect(status):
    heads = []
    with serving(answering(OK, heads)) as elsewhere:
        moved = f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        with serving(answering(moved.encode())) as port:
            assert guard.send(request_to(f"http://127.0.0.1:{port}/")).status == status
    assert heads == []


def dripping(start):
    """Return a handler that sends a response's start, then a byte every tenth of a second."""

    def handle(connection):
        headers_of(connection)
        connection.sendall(start)
        for _ in range(300):
            time.sleep(0.1)
            connection.sendall(b"x")

    return handle


@pytest.mark.usefixtures("local_allowed")
@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n",
    ],
    ids=["status", "headers", "length", "close", "endless", "chunks"],
)
def test_a_slow_response_ends_at_the_deadline(monkeypatch, start):
    assert guard.DEADLINE_SECONDS == 15
    monkeypatch.setattr(guard, "DEADLINE_SECONDS", 1)
    with serving(dripping(start)) as port:
        started = time.monotonic()
        assert reason_of(f"http://127.0.0.1:{port}/{TOKEN}") == "no complete response within 1 seconds"
        assert 1 <= time.monotonic() - started < 4


def test_a_slow_look_up_leaves_no_time_to_connect(monkeypatch, network):
    def resolve():
        time.sleep(0.3)
        return [PUBLIC]

    network.names = {"hooks.example": resolve}
    monkeypatch.setattr(guard, "DEADLINE_SECONDS", 0.2)
    assert reason_of("https://hooks.example/") == "no complete response within 0.2 seconds"
    assert network.connections == []


@pytest.mark.usefixtures("local_allowed")
def test_waits_longer_for_a_response_than_for_a_connection(monkeypatch):
    assert (guard.CONNECT_SECONDS, guard.READ_SECONDS) == (5, 10)
    monkeypatch.setattr(guard, "CONNECT_SECONDS", 0.5)

    def handle(connection):
        headers_of(connection)
        time.sleep(1)
        connection.sendall(OK)

    with serving(handle) as port:
        assert guard.send(request_to(f"http://127.0.0.1:{port}/")).status == 200
        monkeypatch.setattr(guard, "READ_SECONDS", 0.5)
        assert reason_of(f"http://127.0.0.1:{port}/") == "it did not respond in time"


@pytest.mark.usefixtures("local_allowed")
def test_reads_only_the_start_of_a_large_body():
    size, sent = 50 * MEBIBYTE, []

    def handle(connection):
        headers_of(connection)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65_536):
            connection.sendall(bytes(65_536))
            sent.append(65_536)

    with serving(handle) as port:
        response = guard.send(request_to(f"http://127.0.0.1:{port}/"))
    assert len(response.body) == guard.MAX_RESPONSE_BYTES == 65_536
    assert sum(sent) < 20 * MEBIBYTE  # What fits into the buffers of the operating system.


@pytest.mark.usefixtures("local_allowed")
def test_does_not_unpack_a_body():
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    with serving(answering(packed)) as port:
        assert guard.send(request_to(f"http://127.0.0.1:{port}/")).body == b"abc"


@pytest.mark.usefixtures("local_allowed")
@pytest.mark.parametrize(
    "response", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
def test_a_response_that_is_not_complete(response):
    def handle(connection):
        headers_of(connection)
        connection.recv(2)  # Otherwise closing the connection resets it.
        connection.sendall(response)

    with serving(handle) as port:
        assert reason_of(f"http://127.0.0.1:{port}/{TOKEN}") == "it broke the connection, or sent no valid response"


@pytest.mark.usefixtures("local_allowed")
def test_a_port_that_nothing_listens_at(unused_port):
    assert reason_of(f"http://127.0.0.1:{unused_port}/{TOKEN}") == "it could not be reached"


@pytest.mark.usefixtures("local_allowed")
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("“quoted”", "a header contains characters that HTTP does not allow"),
        (f"{TOKEN}\r\nX-Evil: 1", "it broke the connection, or sent no valid response"),
    ],
)
def test_a_header_that_cannot_be_sent_is_not_sent(header, reason):
    heads = []
    with serving(answering(OK, heads)) as port, pytest.raises(Unreachable) as caught:
        guard.send(request_to(f"http://127.0.0.1:{port}/", headers={"X-Key": header}))
    assert str(caught.value) == reason
    assert "Evil" not in "".join(heads)


# TLS.


class Authority:
    """A certificate authority."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
        self.certificate = self._sign(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.path = folder / "authority.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def server_context(self, hostname):
        """Return a server's context with a certificate for a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname)])
        names = x509.SubjectAlternativeName([x509.DNSName(hostname)])
        certificate = self._sign(subject, key.public_key(), names)
        path = self.folder / f"{hostname}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(self, subject, public_key, extension):
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self.name, subject, public_key, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """An authority that the system trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    return made


@pytest.fixture
def hooks_is_local(monkeypatch):
    """Let a name lead to this machine."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        return resolve("127.0.0.1" if host == "hooks.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@contextmanager
def serving_tls(context, handle=None):
    """Run a server with TLS; yield its port and the names that clients ask for."""
    names = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def wrap(connection):
        return context.wrap_socket(connection, server_side=True)

    with serving(handle or answering(OK), wrap) as port:
        yield port, names


@pytest.mark.usefixtures("local_allowed", "hooks_is_local")
def test_asks_for_the_name_and_checks_the_certificate(authority):
    with serving_tls(authority.server_context("hooks.example")) as (port, names):
        assert guard.send(request_to(f"https://hooks.example:{port}/")).text == "ok"
    assert names == ["hooks.example"]


@pytest.mark.usefixtures("local_allowed", "hooks_is_local")
def test_rejects_a_certificate_for_another_name(authority):
    heads = []
    with serving_tls(authority.server_context("other.example"), answering(OK, heads)) as (port, _):
        reason = reason_of(f"https://hooks.example:{port}/{TOKEN}")
    assert reason.startswith("its certificate is not valid: Hostname mismatch")
    assert heads == []


@pytest.mark.usefixtures("local_allowed", "hooks_is_local")
def test_rejects_a_certificate_of_an_authority_that_the_system_does_not_trust(authority, monkeypatch, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with serving_tls(Authority(other).server_context("hooks.example")) as (port, _):
        reason = reason_of(f"https://hooks.example:{port}/{TOKEN}")
    assert reason.startswith("its certificate is not valid: ")


@pytest.mark.usefixtures("local_allowed")
def test_rejects_a_certificate_for_a_name_if_the_url_has_an_address(authority):
    with serving_tls(authority.server_context("hooks.example")) as (port, _):
        assert "IP address mismatch" in reason_of(f"https://127.0.0.1:{port}/")


@pytest.mark.usefixtures("local_allowed", "hooks_is_local")
def test_a_server_without_tls():
    with serving(lambda connection: connection.sendall(OK)) as port:
        assert reason_of(f"https://hooks.example:{port}/{TOKEN}") == "its TLS connection failed"


@pytest.mark.usefixtures("local_allowed", "hooks_is_local")
def test_a_slow_handshake_ends(monkeypatch):
    monkeypatch.setattr(guard, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(guard, "DEADLINE_SECONDS", 0.4)

    def handle(connection):
        for _ in range(100):
            time.sleep(0.1)
            connection.sendall(b"\x16\x03\x03\x3f\xff"[:1])

    with serving(handle) as port:
        started = time.monotonic()
        assert reason_of(f"https://hooks.example:{port}/") == "no complete response within 0.4 seconds"
        assert time.monotonic() - started < 3


@pytest.mark.usefixtures("local_allowed", "hooks_is_local")
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_slow_response_over_tls_ends_at_the_deadline(monkeypatch, authority, start):
    monkeypatch.setattr(guard, "DEADLINE_SECONDS", 1)
    with serving_tls(authority.server_context("hooks.example"), dripping(start)) as (port, _):
        started = time.monotonic()
        assert reason_of(f"https://hooks.example:{port}/{TOKEN}") == "no complete response within 1 seconds"
        assert 1 <= time.monotonic() - started < 4


# Proxies.


@pytest.mark.usefixtures("local_allowed")
def test_the_environment_names_no_proxy(monkeypatch, unused_port):
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    with serving(answering(OK)) as port:
        assert guard.send(request_to(f"http://127.0.0.1:{port}/")).text == "ok"


@pytest.fixture
def lookups(monkeypatch):
    """The names that were resolved."""
    names, resolve = [], socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        names.append(host)
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


def test_the_operators_proxy_resolves_and_connects(authority, settings, lookups):
    heads, context = [], authority.server_context("hooks.example")

    def handle(connection):
        heads.append(headers_of(connection))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as inside:
            answering(OK, heads)(inside)

    with serving(handle) as port:
        settings.NOTIFICATION_PROXY_URL = f"http://127.0.0.1:{port}"
        assert guard.send(request_to(f"https://hooks.example/{TOKEN}")).text == "ok"
    assert heads[0].startswith("CONNECT hooks.example:443 HTTP/1.")
    assert (
        heads[1].startswith(f"POST /{TOKEN} HTTP/1.1\r\nHost: hooks.example\r\n") or "Host: hooks.example" in heads[1]
    )
    assert TOKEN not in heads[0]
    assert set(lookups) == {"127.0.0.1"}


def test_checks_the_certificate_behind_the_proxy(authority, settings):
    context = authority.server_context("other.example")

    def handle(connection):
        headers_of(connection)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        context.wrap_socket(connection, server_side=True).close()

    with serving(handle) as port:
        settings.NOTIFICATION_PROXY_URL = f"http://127.0.0.1:{port}"
        assert "Hostname mismatch" in reason_of(f"https://hooks.example/{TOKEN}")


def test_says_that_the_proxy_did_not_connect(settings):
    with serving(answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as port:
        settings.NOTIFICATION_PROXY_URL = f"http://127.0.0.1:{port}"
        reason = reason_of(f"https://10.0.0.7/{TOKEN}")
    assert reason == "the proxy in NOTIFICATION_PROXY_URL did not connect to it"


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:{port}", "http://nowhere.example:{port}"])
def test_says_that_the_proxy_could_not_be_reached(settings, network, unused_port, proxy):
    settings.NOTIFICATION_PROXY_URL = proxy.format(port=unused_port)
    reason = "the proxy in NOTIFICATION_PROXY_URL could not be reached"
    assert reason_of(f"https://hooks.example/{TOKEN}") == reason


def test_a_server_that_is_not_reached_through_the_proxy_is_not_called_the_proxy(settings, local_allowed, unused_port):
    settings.NOTIFICATION_PROXY_URL = f"http://127.0.0.1:{unused_port}"
    assert reason_of(f"http://127.0.0.1:{unused_port}/{TOKEN}") == "it could not be reached"


def test_a_slow_proxy_ends_at_the_deadline(monkeypatch, settings):
    monkeypatch.setattr(guard, "DEADLINE_SECONDS", 1)
    with serving(dripping(b"HTTP/1.1 200 Connection established\r\nX-Slow: ")) as port:
        settings.NOTIFICATION_PROXY_URL = f"http://127.0.0.1:{port}"
        started = time.monotonic()
        assert reason_of(f"https://hooks.example/{TOKEN}") == "no complete response within 1 seconds"
        assert 1 <= time.monotonic() - started < 4


def test_the_proxy_is_not_used_for_plain_http(settings, network):
    settings.NOTIFICATION_PROXY_URL = "http://proxy.example:3128"
    assert "may be reached only over https" in reason_of("http://10.0.0.7/")
    assert urlsplit(settings.NOTIFICATION_PROXY_URL).hostname not in network.lookups
