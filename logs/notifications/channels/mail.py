"""E-mail, through the server in EMAIL_URL.

Sources:
    https://docs.djangoproject.com/en/5.2/topics/email/ (read 2026-11-29)
    https://www.iana.org/assignments/auto-submitted-keywords/ (Auto-Submitted; read 2026-11-29)
    https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4 (Message-ID, References)
    https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1 (reply codes)
"""

import hashlib
import time
from collections.abc import Callable
from email.utils import format_datetime
from smtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.utils.html import format_html, format_html_join

from logs.models.notifications import LIFETIME
from logs.notifications.channels.base import (
    COLORS,
    Dead,
    Field,
    Later,
    Message,
    Outcome,
    Refused,
    Sent,
    Transport,
    line,
    plain,
    some_facts,
    web_links,
)
from logs.notifications.content import Content
from logs.notifications.guard import DEADLINE_SECONDS, Request, Response, ending_at

MAX_FACTS, MAX_NAME, MAX_VALUE, MAX_HEADLINE, MAX_SUBJECT = 50, 100, 1_000, 1_000, 200
ADDRESS = r"[^\s@,;:<>()\[\]\\\"]+@[^\s@,;:<>()\[\]\\\"]+"
DUMMY_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


class Email(EmailMultiAlternatives):
    """An e-mail of the same bytes in every attempt."""

    def message(self, **options: Any) -> Any:
        """Return the MIME message. Its boundary depends on the content, which therefore cannot contain it."""
        message = super().message(**options)
        parts = [str(self.body), *(str(alternative[0]) for alternative in self.alternatives)]
        message.set_boundary(f"=_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}")
        return message


class MailTransport(Transport):
    """Sends one e-mail per message, to all addresses."""

    kind = "mail"
    title = "E-mail"
    lifetime = LIFETIME
    fields = [
        Field(
            name="to",
            label="Addresses",
            help_text="One or several, separated by commas. Each recipient sees all of them.",
            pattern=rf"\s*{ADDRESS}\s*(?:,\s*{ADDRESS}\s*)*",
            invalid="Enter e-mail addresses, separated by commas: team@example.com, ada@example.com",
        )
    ]

    def deliver(self, message: Message, send: Callable[[Request], Response]) -> tuple[Outcome, int | None]:
        """Send a message through Django's backend, which the operator has chosen; return the outcome."""
        if settings.EMAIL_BACKEND == DUMMY_BACKEND:
            return Dead(reason="EMAIL_URL is not set"), None
        if not settings.DEFAULT_FROM_EMAIL:
            return Dead(reason="EMAIL_FROM is not set"), None
        deadline = time.monotonic() + DEADLINE_SECONDS
        backend = SmtpBackend() if settings.EMAIL_BACKEND == SMTP_BACKEND else get_connection()
        email, is_accepted = email_of(message), False
        email.connection = backend
        try:
            with ending_at(deadline, lambda: getattr(getattr(backend, "client", None), "sock", None)):
                is_accepted = bool(email.send())
        except (SMTPException, OSError) as error:
            if is_accepted:
                return Sent(), None
            return outcome_of_error(TimeoutError() if time.monotonic() >= deadline else error), None
        return Sent(), None


class SmtpBackend(EmailBackend):
    """Django's backend; its socket is accessible from the beginning of the conversation."""

    client: SMTP | None = None

    @property
    def connection_class(self) -> Any:
        """Return a function that connects to the server, which includes waiting for its greeting."""
        kind = super().connection_class

        def connect(*args: Any, **options: Any) -> SMTP:
            self.client = kind.__new__(kind)
            self.client.__init__(*args, **options)  # type: ignore[misc]
            return self.client

        return connect


def email_of(message: Message) -> Email:
    """Return the e-mail for a message."""
    content, host = message.content, _host()
    headers = {
        "Message-ID": f"<notification-{message.id}@{host}>",
        "Date": format_datetime(content.time),
        "Auto-Submitted": "auto-generated",
    }
    if message.thread:
        headers["References"] = f"<{message.thread}@{host}>"
    email = Email(
        subject=_subject(content),
        body=_text(content),
        to=[address.strip() for address in message.settings["to"].split(",")],
        headers=headers,
    )
    email.attach_alternative(_html(content), "text/html")
    return email


def _subject(content: Content) -> str:
    """Return a subject without the start of an encoded word (RFC 2047), which a mail program would decode."""
    text = f"[{content.project or 'webhooklog'}] {content.headline}"
    return line(plain(text).replace("=?", "= ?"), MAX_SUBJECT)


def outcome_of_error(error: Exception) -> Outcome:
    """Return what an error of the mail server means."""
    if isinstance(error, SMTPRecipientsRefused):
        replies = list(error.recipients.values())
        reason = _reason(*replies[0]) if replies else "no recipient was accepted"
        is_final = bool(replies) and all(code >= 500 for code, _ in replies)
        return Dead(reason=reason, is_certain=False) if is_final else Later(reason=reason)
    if isinstance(error, SMTPResponseException):
        reason, is_final = _reason(error.smtp_code, error.smtp_error), error.smtp_code >= 500
        # A wrong password is not the message's fault.
        return (
            Refused(reason=reason)
            if is_final and not isinstance(error, SMTPAuthenticationError)
            else Later(reason=reason)
        )
    if isinstance(error, TimeoutError):
        return Later(reason="the mail server did not respond in time")
    return Later(reason=f"the mail server could not be reached, or broke the connection ({type(error).__name__})")


def _reason(code: int, reply: bytes | str) -> str:
    return line(f"{code} {reply.decode(errors='replace') if isinstance(reply, bytes) else reply}", 200)


def _host() -> str:
    host = urlsplit(settings.SITE_URL).hostname or ""
    return host if host and ":" not in host else "webhooklog.invalid"


def _facts(content: Content) -> list[tuple[str, str]]:
    return [(line(name, MAX_NAME), line(value, MAX_VALUE)) for name, value in some_facts(content, MAX_FACTS)]


def _text(content: Content) -> str:
    facts = [f"{name}: {value}" for name, value in _facts(content)]
    links = [f"{title}: {url}" for title, url in web_links(content)]
    parts = [[line(content.headline, MAX_HEADLINE)], facts, links]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _html(content: Content) -> str:
    rows = format_html_join(
        "\n",
        '<tr><td style="padding:4px 12px;color:#555555;vertical-align:top">{}</td>'
        '<td style="padding:4px 12px">{}</td></tr>',
        _facts(content),
    )
    links = format_html_join(
        "\n", '<p style="margin:8px 12px"><a href="{}">{}</a></p>', ((url, title) for title, url in web_links(content))
    )
    return format_html(
        '<div style="font:14px/1.5 sans-serif;color:#222222">\n'
        '<p style="margin:0 0 8px;padding:4px 12px;border-left:4px solid {};font-weight:bold">{}</p>\n'
        '<table role="presentation" style="border-collapse:collapse">\n{}\n</table>\n{}\n</div>\n',
        COLORS[content.tone],
        line(content.headline, MAX_HEADLINE),
        rows,
        links,
    )
