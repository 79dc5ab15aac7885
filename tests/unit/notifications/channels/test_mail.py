"""E-mails, through Django's backends and to a real SMTP server.

Limits: a line of a message has at most 998 characters (https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1, read
2026-11-29); a header contains no line break.
"""

import re
import socket
import time
from contextlib import suppress
from email import message_from_bytes
from email.policy import SMTP
from html.parser import HTMLParser
from smtplib import (
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from threading import Thread

import pytest
from aiosmtpd.controller import Controller

from logs.models.notifications import LIFETIME
from logs.notifications.channels.base import Dead, Later, Refused, Sent
from logs.notifications.channels.mail import Email, email_of, outcome_of_error
from tests.unit.notifications.channels.contract import (
    HOSTILE,
    PAGE_URL,
    RUN_URL,
    Contract,
    filled_with,
    make_content,
)

TAGS = {"div", "p", "table", "tr", "td", "a"}
HEADERS = {
    "Content-Type",
    "MIME-Version",
    "Subject",
    "From",
    "To",
    "Message-ID",
    "Date",
    "Auto-Submitted",
    "References",
}


class Page(HTMLParser):
    """The tags, links and texts of the HTML part."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.texts = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style", "role", "href"}
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data):
        self.texts.append(data)


def parts_of(wire):
    """Return the headers, the text and the HTML of an e-mail."""
    message = message_from_bytes(wire, policy=SMTP)
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return message, *(part.get_content().replace("\r\n", "\n") for part in (text, html))


class Server:
    """A mail server that gives one reply after the other, and stores what it receives."""

    def __init__(self, *replies):
        self.replies, self.received = list(replies), []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address.startswith("unknown"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.received.append(envelope)
        return self.replies.pop(0)


@pytest.fixture
def mail_server(settings):
    """Start a mail server that gives some replies; Django sends to it."""
    controllers = []

    def start(*replies):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(*replies)
        controller = Controller(server, hostname="127.0.0.1", port=port)
        controller.start()
        controllers.append(controller)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        return server

    yield start
    for controller in controllers:
        controller.stop()


def drip(server, start):
    """Accept a connection and send the lines of a reply that does not end, until the client leaves."""
    connection, _ = server.accept()
    with connection, suppress(OSError):
        connection.sendall(start)
        for _ in range(50):
            time.sleep(0.1)
            connection.sendall(start[-10:] if start.endswith(b"250-wait\r\n") else start)


@pytest.fixture(autouse=True)
def site(settings):
    settings.SITE_URL = "https://hooks.example.com"
    settings.DEFAULT_FROM_EMAIL = "webhooklog <ci@example.com>"


def no_requests(request):
    raise AssertionError("an e-mail is not an HTTP request")


class TestMail(Contract):
    kind = "mail"
    settings = {"to": "team@example.com, ada@example.com"}

    def deliver(self, message=None):
        outcome, status = self.transport.deliver(message or self.make_message(), no_requests)
        assert status is None
        return outcome

    def wire(self, message):
        return email_of(message).message().as_bytes(linesep="\r\n")

    def texts(self, wire):
        message, text, html = parts_of(wire)
        return [*message.values(), *(line for part in (text, *Page(html).texts) for line in part.split("\n"))]

    def urls(self, wire):
        return Page(parts_of(wire)[2]).links

    def check_limits(self, wire):
        assert max(map(len, wire.split(b"\r\n"))) <= 998
        # Folding adds a space.
        assert len(parts_of(wire)[0]["Subject"].strip()) <= 200

    def check_inert(self, wire):
        message, text, html = parts_of(wire)
        assert set(message.keys()) == HEADERS
        assert len(message.keys()) == len(HEADERS)
        assert message["To"] == self.settings["to"]
        assert Page(html).tags <= TAGS
        assert not re.search("^Bcc:", text, re.MULTILINE)

    def test_a_fix_has_the_form_of_the_design(self):
        message, text, html = parts_of(self.wire(self.make_message(make_content("fixed"))))
        assert message["Subject"] == "[acme/orchard] build is fixed on main"
        assert message["Message-ID"] == "<notification-1042@hooks.example.com>"
        assert message["References"] == "<wl-5f2c9a1e7b3d4086@hooks.example.com>"
        assert message["From"] == "webhooklog <ci@example.com>"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Date"] == "Fri, 27 Nov 2026 16:40:00 +0000"
        assert text.splitlines() == [
            "build is fixed on main",
            "",
            "Project: acme/orchard",
            "State: After 2 h 14 min and 3 failed runs",
            "",
            f"Open in CircleCI: {RUN_URL}",
            f"Open in webhooklog: {PAGE_URL}",
        ]
        assert [text.strip() for text in Page(html).texts if text.strip()] == [
            "build is fixed on main",
            "Project",
            "acme/orchard",
            "State",
            "After 2 h 14 min and 3 failed runs",
            "Open in CircleCI",
            "Open in webhooklog",
        ]

    @pytest.mark.parametrize("headline", ["=?utf-8?b?aGFja2Vk?= broke", "=\u200b?utf-8?b?aGFja2Vk?= broke"])
    def test_the_subject_has_no_encoded_words_of_others(self, headline):
        message, *_ = parts_of(self.wire(self.make_message(make_content(headline=headline))))
        assert message["Subject"] == "[acme/orchard] = ?utf-8?b?aGFja2Vk?= broke"

    @pytest.mark.parametrize("site_url", ["", "https://[::1]:8000"])
    def test_a_site_without_a_host_name_has_ids_of_its_own(self, settings, site_url):
        settings.SITE_URL = site_url
        message, *_ = parts_of(self.wire(self.make_message()))
        assert message["Message-ID"] == "<notification-1042@webhooklog.invalid>"

    def test_a_message_without_a_thread_refers_to_none(self):
        message, *_ = parts_of(self.wire(self.make_message(make_content("digest"), thread="")))
        assert message["References"] is None
        assert message["Subject"] == "[webhooklog] 2 changes: 1 broke, 1 fixed"

    def test_a_text_cannot_end_its_part(self):
        boundary = parts_of(self.wire(self.make_message()))[0].get_boundary()
        content = make_content(facts=[("Author", f"\r\n--{boundary}--\r\n")])
        assert len(list(parts_of(self.wire(self.make_message(content))))) == 3

    def test_is_sent_through_the_backend_of_the_site(self, mailoutbox):
        assert self.deliver() == Sent()
        [email] = mailoutbox
        assert email.to == ["team@example.com", "ada@example.com"]

    def test_a_retried_mail_reaches_a_real_server_with_one_message_id(self, mail_server):
        server = mail_server("451 4.3.0 try again", "250 OK")
        assert self.deliver() == Later(reason="451 4.3.0 try again")
        assert self.deliver() == Sent()
        first, second = server.received
        assert first.content == second.content
        assert first.rcpt_tos == second.rcpt_tos == ["team@example.com", "ada@example.com"]
        assert message_from_bytes(first.content)["Message-ID"] == "<notification-1042@hooks.example.com>"

    def test_a_real_server_reads_hostile_text_as_one_mail(self, mail_server):
        server = mail_server("250 OK")
        assert self.deliver(self.make_message(filled_with(HOSTILE["header"]))) == Sent()
        [envelope] = server.received
        self.check_inert(envelope.content)

    def test_a_mail_that_a_real_server_rejects_is_refused(self, mail_server):
        mail_server("554 5.7.1 spam")
        assert self.deliver() == Refused(reason="554 5.7.1 spam")

    def test_a_mail_to_unknown_recipients_only_may_mean_that_the_channel_is_dead(self, mail_server):
        mail_server()
        message = self.make_message(settings={"to": "unknown@example.com,unknown2@example.com"})
        assert self.deliver(message) == Dead(reason="550 5.1.1 no such user", is_certain=False)

    def test_a_mail_to_some_unknown_recipients_is_sent_to_the_others(self, mail_server):
        server = mail_server("250 OK")
        assert self.deliver(self.make_message(settings={"to": "unknown@example.com, ada@example.com"})) == Sent()
        assert server.received[0].rcpt_tos == ["ada@example.com"]

    def test_a_server_that_does_not_listen_is_tried_later(self, mail_server, settings):
        mail_server()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            settings.EMAIL_PORT = unused.getsockname()[1]
            outcome = self.deliver()
        assert isinstance(outcome, Later)
        assert "ConnectionRefusedError" in outcome.reason

    @pytest.mark.parametrize("line", [b"220-wait\r\n", b"220 ready\r\n250-wait\r\n"])
    def test_a_server_that_replies_slowly_ends_at_the_deadline(self, mail_server, settings, monkeypatch, line):
        monkeypatch.setattr("logs.notifications.channels.mail.DEADLINE_SECONDS", 0.5)
        mail_server()
        with socket.create_server(("127.0.0.1", 0)) as server:
            settings.EMAIL_PORT = server.getsockname()[1]
            dripping = Thread(target=drip, args=[server, line])
            dripping.start()
            started = time.monotonic()
            assert self.deliver() == Later(reason="the mail server did not respond in time")
            assert time.monotonic() - started < 2
            dripping.join(10)

    def test_a_mail_that_was_accepted_before_the_deadline_is_sent(self, monkeypatch, mailoutbox):
        monkeypatch.setattr("logs.notifications.channels.mail.DEADLINE_SECONDS", 0.1)
        send = Email.send
        monkeypatch.setattr(Email, "send", lambda email: [send(email), time.sleep(0.2)][0])
        assert self.deliver() == Sent()
        assert len(mailoutbox) == 1

    def test_a_site_without_a_mail_server_or_sender_is_dead(self, settings):
        settings.DEFAULT_FROM_EMAIL = ""
        assert self.deliver() == Dead(reason="EMAIL_FROM is not set")
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
        assert self.deliver() == Dead(reason="EMAIL_URL is not set")

    @pytest.mark.parametrize("code", range(400, 600))
    def test_each_reply_has_an_outcome(self, code):
        expected = Later if code < 500 else Refused
        assert type(outcome_of_error(SMTPDataError(code, b"no\r\nway"))) is expected
        assert type(outcome_of_error(SMTPSenderRefused(code, b"no", "ci@example.com"))) is expected
        assert type(outcome_of_error(SMTPAuthenticationError(code, b"no"))) is Later
        refused = SMTPRecipientsRefused({"a@example.com": (code, b"no"), "b@example.com": (550, b"no")})
        assert type(outcome_of_error(refused)) is (Later if code < 500 else Dead)

    @pytest.mark.parametrize(
        "error",
        [
            OSError(5, "x"),
            TimeoutError(),
            SMTPServerDisconnected("x"),
            socket.gaierror(8, "x"),
            SMTPRecipientsRefused({}),
        ],
    )
    def test_other_errors_are_tried_later(self, error):
        assert type(outcome_of_error(error)) is Later

    @pytest.mark.parametrize("text", ["ada@example.com", "root@localhost", "a@b.c,d@e.f , g@h.i"])
    def test_the_field_accepts_addresses(self, text):
        assert re.fullmatch(self.transport.fields[0].pattern, text)

    @pytest.mark.parametrize("text", ["", "ada", "a@b@c", "a@b,", "a@b c@d", "Ada <a@b.c>", "a@b;c@d", "a@b.c\nd@e.f"])
    def test_the_field_rejects_other_texts(self, text):
        assert not re.fullmatch(self.transport.fields[0].pattern, text)

    def test_may_be_combined_and_is_worth_sending_for_a_day(self):
        assert self.transport.is_combined
        assert self.transport.lifetime == LIFETIME
