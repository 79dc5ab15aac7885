"""Paper Plane keeps the contract of all channels."""

import json

from webhooklog_paperplane import PaperPlane

from logs.notifications.channels.base import Dead
from tests.unit.notifications.channels.contract import HttpContract, make_response


class TestPaperPlane(HttpContract):
    kind = "paperplane"
    transport = PaperPlane()
    settings = {"url": "https://paperplane.example.com/runways/7", "token": "0123456789abcdef" * 2}
    accepted = {*range(200, 300)}
    dead = {410}

    def urls(self, wire):
        return json.loads(wire)["links"]

    def check_limits(self, wire):
        plane = json.loads(wire)
        assert len(plane["title"]) <= 80
        assert len(plane["lines"]) <= 10
        assert not [text for text in plane["lines"] if len(text) > 200]

    def check_inert(self, wire):
        assert not [text for text in self.texts(wire) if "\n" in text]  # Paper Plane shows plain text.

    def test_a_closed_runway_disables_the_channel(self):
        outcome, _ = self.deliver(make_response(403, "runway closed"))
        assert outcome == Dead(reason="403 runway closed")
