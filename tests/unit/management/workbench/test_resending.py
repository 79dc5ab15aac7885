"""A delivery goes out with the headers that CircleCI sent, and with no others."""

from logs.circleci.curl import SENT_HEADERS
from logs.management.workbench.resending import message
from logs.management.workbench.sending import WebhookClient

KEPT = {
    "content-type": "application/json",
    "content-length": "999",
    "user-agent": "CircleCI-Webhook/1.0",
    "accept-encoding": "gzip, deflate",
    "circleci-event-type": "ping",
    "circleci-signature": "v1=00",
}


def sent(httpserver, headers):
    httpserver.expect_request("/hook", method="POST").respond_with_data("", 201)
    assert WebhookClient(httpserver.url_for("/hook")).send(message(7, b'{"\xff": 1}', headers)).accepted
    ((request, _),) = httpserver.log
    assert request.get_data() == b'{"\xff": 1}'
    return {name.lower(): value for name, value in request.headers.items() if name != "Host"}


def test_the_headers_that_circleci_sent(httpserver):
    assert sent(httpserver, KEPT) == {name: KEPT[name] for name in SENT_HEADERS} | {"content-length": "8"}


def test_no_header_of_the_clients_own(httpserver):
    assert sent(httpserver, {}) == {"content-length": "8"}


def test_a_letter_that_no_header_can_carry_is_replaced(httpserver):
    assert sent(httpserver, {"user-agent": "сад\r\nx: y ÿ"})["user-agent"] == "?????x: y ÿ"
