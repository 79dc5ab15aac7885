"""Paper Plane, an invented service, as a kind of channel."""

from logs.notifications.channels.base import (
    HTTPS_PATTERN,
    Dead,
    Field,
    Message,
    Outcome,
    Request,
    Response,
    Transport,
    json_request,
    line,
    said,
    web_links,
)

MAX_FACTS, MAX_SUBJECT, MAX_FACT = 10, 80, 200  # Paper Plane's limits.


class PaperPlane(Transport):
    """Folds a paper plane per message."""

    interface = 1
    kind = "paperplane"
    title = "Paper Plane"
    fields = [
        Field(
            name="url",
            label="Runway URL",
            help_text="In Paper Plane: your runway › Settings › URL.",
            pattern=f"{HTTPS_PATTERN}|http://[^\\s/?#@]+/[^\\s#]+",
            invalid="Enter the URL of a runway: https://paperplane.example.com/runways/7",
            is_server=True,
        ),
        Field(
            name="token",
            label="Token",
            is_secret=True,
            pattern="[0-9a-f]{32}",
            invalid="Enter the 32 characters of the token.",
        ),
    ]

    def request(self, message: Message) -> Request:
        """Return the request that folds the plane."""
        content = message.content
        plane = {
            "key": message.id,  # Paper Plane ignores a plane that it has already folded.
            "paper": "red" if content.tone == "bad" else "green",
            "title": line(content.subject, MAX_SUBJECT),
            "lines": [line(f"{name}: {value}", MAX_FACT) for name, value in content.facts[:MAX_FACTS]],
            "links": [url for _, url in web_links(content)],
        }
        return json_request(message.settings["url"], plane, Authorization=f"Bearer {message.settings['token']}")

    def outcome(self, response: Response) -> Outcome:
        """Return what a response means. Paper Plane answers 403 to all messages if a runway is closed for good."""
        if response.status == 403 and "runway closed" in response.text:
            return Dead(reason=said(response))
        return super().outcome(response)
