"""Requests that are almost right: mutated bodies, signatures, headers, targets, methods, and raw HTTP gone wrong.

Everything follows from a ``random.Random``, so a request that did harm can be made again.
"""

import json
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from logs.circleci import samples
from logs.circleci.signature import sign
from tests.load.hostile import (
    HEADERS,
    HOSTILE_BODIES,
    HOSTILE_JSON,
    METHODS,
    PARAMETERS,
    RAW,
    SIGNATURES,
    TARGETS,
    VERSIONS,
)
from tests.load.senders import SECRET
from tests.load.wire import HOST, RECEIVING_PATH


@dataclass(kw_only=True)
class Mutant:
    """A request in the making."""

    method: str = "POST"
    target: str = RECEIVING_PATH
    version: str = "HTTP/1.1"
    headers: list = field(default_factory=list)  # Pairs; a name may stand there twice.
    body: bytes = b""
    raw: bytes | None = None  # In place of all the others.
    half_close: bool = False  # Nothing more comes: otherwise the server would wait for what is missing.

    @property
    def is_head(self):
        """Whether the answer has no body."""
        return self.raw is None and self.method == "HEAD"

    def encode(self):
        """Return the bytes that travel."""
        if self.raw is not None:
            return self.raw
        lines = [f"{self.method} {self.target} {self.version}", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.body


def random_mutant(random):
    """Return a delivery of which the body is changed more often than not, and up to two other things.

    One in eight is left as it is: what is right must stay right among all that is wrong.
    """
    document = (
        samples.random_event(random=random) if random.random() < 0.5 else samples.workflow_completed(random=random)
    )
    mutant = Mutant(body=samples.encode(document))
    if random.random() < 0.6:
        mutant.body = _mutated_body(random, document, mutant.body)
    headers = samples.headers(mutant.body, {"type": "workflow-completed"}, SECRET)
    address = str(IPv4Address("10.1.0.0") + random.randrange(2_000))
    mutant.headers = [("Host", HOST), ("X-Forwarded-For", address), *headers.items()]
    mutant.headers.append(("Content-Length", str(len(mutant.body))))
    for mutate in random.choices(list(MUTATIONS), list(MUTATIONS.values()), k=random.randint(0, 2)):
        mutate(random, mutant)
    return mutant


def _mutated_body(random, document, body):
    """Return a body that will be signed all the same, as by a vendor who has changed the format or gone mad."""
    kind = random.randrange(5)
    if kind == 0:
        return random.choice(HOSTILE_BODIES)
    if kind == 1:
        return _flipped(random, body)
    if kind == 2:
        return body[: random.randrange(len(body))]
    marker = "MARK-OF-THE-MUTATION"
    _replace_somewhere(random, document, marker)
    return json.dumps(document).replace(f'"{marker}"', random.choice(HOSTILE_JSON)).encode()


def _replace_somewhere(random, document, value):
    """Put a value in place of a random one, however deep."""
    key = random.choice(list(document))
    while isinstance(document[key], dict) and document[key] and random.random() < 0.7:
        document = document[key]
        key = random.choice(list(document))
    document[key] = value


def _flipped(random, data):
    changed = bytearray(data)
    for _ in range(random.randint(1, 8)):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _change_body_after_signing(random, mutant):
    mutant.body = _flipped(random, mutant.body)


def _change_signature(random, mutant):
    _set_header(mutant, "circleci-signature", random.choice(SIGNATURES))


def _sign_with_another_secret(random, mutant):
    _set_header(mutant, "circleci-signature", sign(mutant.body, f"{SECRET}{random.choice(' x0')}"))


def _change_header(random, mutant):
    name, values = random.choice(HEADERS)
    _set_header(mutant, name, random.choice(values))
    mutant.half_close = True


def _add_header(random, mutant):
    name, values = random.choice(HEADERS)
    value = random.choice(values) if random.random() < 0.8 else random.randbytes(9).decode("latin-1")
    mutant.headers.insert(random.randrange(len(mutant.headers)), (name, value))
    mutant.half_close = True


def _add_many_headers(random, mutant):
    mutant.headers += [(f"x-{number}", "y") for number in range(random.choice([50, 99, 150]))]
    mutant.half_close = True


def _drop_header(random, mutant):
    mutant.headers.pop(random.randrange(len(mutant.headers)))
    mutant.half_close = True


def _set_header(mutant, name, value):
    mutant.headers = [pair for pair in mutant.headers if pair[0].lower() != name] + [(name, value)]


def _change_target(random, mutant):
    mutant.target = random.choice(TARGETS)


def _read_the_list(random, mutant):
    parameters = random.choices(list(PARAMETERS), k=random.randint(0, 2))
    query = "&".join(f"{name}={random.choice(PARAMETERS[name])}" for name in parameters)
    mutant.method, mutant.target = "GET", f"/fetch-webhooks-logs?{query}"


def _change_method(random, mutant):
    mutant.method = random.choice(METHODS)
    mutant.half_close = True


def _change_version(random, mutant):
    mutant.version = random.choice(VERSIONS)
    mutant.half_close = True


def _chunk(random, mutant):
    """Send the body in chunks, some of them broken."""
    mutant.headers = [pair for pair in mutant.headers if pair[0].lower() != "content-length"]
    mutant.headers.append(("Transfer-Encoding", "chunked"))
    size = random.choice(
        [b"%x" % len(mutant.body), b"%x" % len(mutant.body), b"%x;a=b" % len(mutant.body), b"-1", b"zz", b"", b"f" * 20]
    )
    end = random.choice([b"\r\n0\r\n\r\n", b"\r\n0\r\n\r\n", b"", b"\r\n", b"\r\n0\r\nbroken\r\n\r\n", b"0\r\n\r\n"])
    mutant.body = size + b"\r\n" + mutant.body + end
    mutant.half_close = True


def _break_bytes(random, mutant):
    """Break the request as bytes: cut, flipped, doubled, with other line ends, or none of HTTP at all."""
    data = mutant.encode()
    mutant.raw = random.choice([
        data[: random.randrange(len(data) + 1)],
        _flipped(random, data),
        _flipped(random, data[:200]) + data[200:],
        data + data,
        data.replace(b"\r\n", b"\n"),
        data.replace(b"\r\n", b"\r\n "),
        data.replace(b": ", random.choice([b" : ", b":", b"", b":\x00"])),
        random.choice(RAW),
        random.choice(RAW) + data,
        random.randbytes(random.randint(1, 300)),
    ])  # fmt: skip
    mutant.half_close = True


# How often each one is chosen, in relation to the others.
MUTATIONS = {
    _change_body_after_signing: 2,
    _change_signature: 3,
    _sign_with_another_secret: 2,
    _change_header: 4,
    _add_header: 3,
    _add_many_headers: 1,
    _drop_header: 1,
    _change_target: 4,
    _read_the_list: 3,
    _change_method: 2,
    _change_version: 1,
    _chunk: 2,
    _break_bytes: 4,
}
