"""Turn what a list's form submits into the list's query, whose parameters are those of the API."""

import re

from django.http import QueryDict

from logs.admin.links import changed, without
from logs.times import picker_value

SET = "set"  # The name of a chip's button; the value holds the changed parameters as a query string.
EXPORT = "export"  # The name of an export's button; the value is the format.
PICKERS = {"from": "received_after", "to": "received_before"}  # The names of the date pickers, and their parameters.

# A date picker's value has no time zone. The page shows it in UTC, and JavaScript submits it in UTC.
_WITHOUT_ZONE = re.compile(r"\d{4,6}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)


def list_query(submitted: QueryDict, repeatable: set[str]) -> QueryDict:
    """Return the list's query: without the form's own parameters and empty fields, repeated values joined by commas."""
    query = QueryDict(mutable=True)
    for name, values in without(submitted, SET, EXPORT, *PICKERS).lists():
        if given := [value for value in values if value]:
            query.setlist(name, [",".join(given)] if name in repeatable else given)
    for picker, name in PICKERS.items():
        # The picker cannot show an age or microseconds, so the form also submits the parameter.
        time = submitted.get(picker, "")
        if picker in submitted and time != picker_value(query.get(name, "")):
            query = changed(query, **{name: _with_zone(time)})
    return changed(query, **QueryDict(submitted.get(SET, "")).dict())


def _with_zone(text: str) -> str:
    return f"{text}Z" if _WITHOUT_ZONE.fullmatch(text) else text
