"""What `make bench` sends: distinct events, correctly signed."""

from itertools import islice

from logs.circleci import signature
from logs.circleci.payload import read_event
from tests.load.generator import SAMPLES, Requests
from tests.load.senders import SECRET


def test_signs_distinct_readable_events():
    requests = list(islice(Requests(), 3 * SAMPLES))
    ids = set()
    for request in requests:
        head, _, body = request.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert int(headers["content-length"]) == len(body)
        assert signature.verify(body, headers["circleci-signature"], [SECRET]) == 0
        event = read_event(body)
        ids |= {event.event_id, event.workflow_id, event.pipeline_id}

    assert len(ids) == 3 * len(requests)
