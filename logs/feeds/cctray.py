"""cctray: the state of branches for build monitors such as CCMenu.

CircleCI reports only ends, so the activity is always Sleeping. A canceled run keeps the status before it.
Source: https://cctray.org/v1/ (read 2026-11-29).
"""

from datetime import UTC
from io import StringIO
from typing import Any
from xml.sax.xmlreader import AttributesImpl

from django.utils.xmlutils import SimplerXMLGenerator

from logs.circleci.vocabulary import Tone
from logs.feeds.characters import printable

FAILED = ("failed", "failing")  # Other bad statuses say that CircleCI could not run the workflow.


def cctray_of(rows: list[Any], site_url: str) -> str:
    """Return the document; a branch whose run retention has deleted links to the site."""
    output = StringIO()
    xml = SimplerXMLGenerator(output, "utf-8", short_empty_elements=True)
    xml.startDocument()
    xml.startElement("Projects", AttributesImpl({}))
    for row in rows:
        xml.startElement("Project", AttributesImpl(_attributes(row, site_url)))
        xml.endElement("Project")
    xml.endElement("Projects")
    xml.endDocument()
    return output.getvalue()


def _attributes(row: Any, site_url: str) -> dict[str, str]:
    ended = (row.stopped_at or row.last_run_at).astimezone(UTC)
    owner = "/".join(row.project_slug.split("/")[1:]) if row.project_slug.startswith(("github/", "bitbucket/")) else ""
    return {
        "name": printable(f"{owner or row.project} :: {row.workflow} ({row.branch})"),
        "activity": "Sleeping",
        "lastBuildStatus": _status(row),
        "lastBuildLabel": "" if row.pipeline_number is None else str(row.pipeline_number),
        "lastBuildTime": f"{ended:%Y-%m-%dT%H:%M:%SZ}",
        "webUrl": printable(row.last__url or site_url),
    }


def _status(row: Any) -> str:
    if row.tone == Tone.GOOD:
        return "Success"
    if row.tone == Tone.BAD:
        return "Failure" if (row.last__status or "failed") in FAILED else "Exception"
    return "Unknown"
