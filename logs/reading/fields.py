"""The types of filter; each error message gives the accepted values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import django_filters as filters
from django import forms
from django.db.models import QuerySet
from django_filters.fields import BaseCSVField
from django_filters.widgets import BaseCSVWidget

from logs.models.events import spellings_of_id
from logs.reading.pages import MAX_PRIMARY_KEY
from logs.reading.search import words_of
from logs.times import parse_time

MAX_TEXT_LENGTH = 500
MIN_PREFIX_LENGTH = 4  # A shorter prefix would match too many hashes in a long log.
TRUTHS = [("true", "true"), ("false", "false")]
TRUTH_SPELLINGS = {
    "true": "true",
    "1": "true",
    "false": "false",
    "0": "false",
}
INVALID_TRUTH = "It must be true or false."


def parse_truth(text: str) -> bool:
    """Return the boolean that a text represents, ignoring case.

    Raises:
        ValueError: the text is not a boolean; the message gives the accepted values.
    """
    try:
        return TRUTH_SPELLINGS[text.lower()] == "true"
    except KeyError as error:
        raise ValueError(INVALID_TRUTH) from error


class TimeField(forms.Field):
    """A time in ISO 8601, or an age."""

    def to_python(self, value: str | None) -> datetime | None:
        """Return the time."""
        try:
            return parse_time(value) if value else None
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


class WordsField(forms.CharField):
    """Text that contains words."""

    def clean(self, value: str | None) -> list[str]:
        """Return the words."""
        text = super().clean(value)
        words = words_of(text)
        if text and not words:
            raise forms.ValidationError("It must contain a letter or a digit.")
        return words


class TruthSelect(forms.Select):
    """Offers true and false, and accepts all their spellings."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """Return ``true`` or ``false`` for any spelling of either; return any other value unchanged."""
        value = super().value_from_datadict(data, files, name)
        return TRUTH_SPELLINGS.get(value.lower(), value) if value else value


class TruthField(forms.TypedChoiceField):
    """True or false; a form also offers ``either``."""

    widget = TruthSelect

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widget.choices = [("", "either"), *TRUTHS]


class TimeFilter(filters.Filter):
    """Compares a column with a time."""

    field_class = TimeField


class TextFilter(filters.CharFilter):
    """Compares a column with a text exactly as given, including white space."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **({"strip": False, "max_length": MAX_TEXT_LENGTH} | kwargs))


class PatternFilter(TextFilter):
    """Compares a column with a pattern: any case matches, and ``*`` stands for any text."""


class IdFilter(TextFilter):
    """Compares a column with a CircleCI id; a UUID may be in upper case."""

    def filter(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Return the rows with this id, or all rows if the id is empty."""
        spellings = spellings_of_id(value)
        if len(spellings) == 1:
            return super().filter(rows, value)
        return rows.filter(**{f"{self.field_name}__in": spellings})


class PrefixFilter(TextFilter):
    """Compares a column with a prefix."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=MIN_PREFIX_LENGTH, **kwargs)


class WordsFilter(TextFilter):
    """Searches for words."""

    field_class = WordsField


class ListWidget(BaseCSVWidget):
    """Reads several values from a comma-separated parameter, a repeated parameter, or both."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        """Return the values; an empty list if the parameter is missing."""
        given = ",".join(data.getlist(name))
        return given.split(",") if given else []


class ListField(BaseCSVField):
    """Several values, separated by commas."""

    base_widget_class = ListWidget

    def clean(self, value: "list[str] | None") -> Any:
        """Return the values."""
        if value and "" in value:
            raise forms.ValidationError("A value is missing before, after or between commas.")
        return super().clean(value)


class ListFilter(filters.BaseInFilter):
    """Compares a column with several values."""

    base_field_class = ListField


class StatusesField(ListField):
    """Several statuses. CircleCI writes them in lower case; any other status in the log is found as given."""

    def clean(self, value: "list[str] | None") -> Any:
        """Return the values, and each in lower case."""
        values = super().clean(value)
        return values and list(dict.fromkeys([*values, *map(str.lower, values)]))


class StatusesFilter(ListFilter, TextFilter):
    """Compares a column with several statuses."""

    base_field_class = StatusesField


class IntegerFilter(filters.NumberFilter):
    """Compares a column with a whole number that the database can store."""

    field_class = forms.IntegerField  # type: ignore[assignment]  # Any field works.

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=0, max_value=MAX_PRIMARY_KEY, **kwargs)


class SecondsFilter(filters.NumberFilter):
    """Compares a column with a number of seconds."""

    field_class = forms.FloatField  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=0, **kwargs)


class TruthFilter(filters.TypedChoiceFilter):
    """Compares a column with true or false."""

    field_class = TruthField

    def __init__(self, **kwargs: Any) -> None:
        messages = {"invalid_choice": INVALID_TRUTH}
        super().__init__(choices=TRUTHS, coerce="true".__eq__, empty_value=None, error_messages=messages, **kwargs)


class ChoiceFilter(filters.ChoiceFilter):
    """Compares a column with one of a few values; `noun` is what an error calls a value, such as ``an outcome``."""

    def __init__(self, *, values: Sequence[str], noun: str, **kwargs: Any) -> None:
        self.values = [str(value) for value in values]
        messages = {"invalid_choice": f"%(value)s is not {noun}; use {', '.join(self.values)}."}
        choices = [(value, value) for value in self.values]
        super().__init__(choices=choices, error_messages=messages, **{"empty_label": "any"} | kwargs)


class ChoicesFilter(ListFilter, ChoiceFilter):
    """Compares a column with several of these values, separated by commas."""
