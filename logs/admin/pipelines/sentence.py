"""A pipeline's verdict as a sentence."""

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from logs.circleci.vocabulary import Tone
from logs.insights.pipelines import Pipeline, State, WorkflowRun

MAX_NAMES = 8
MAX_NAME_LENGTH = 80

# fmt: off
LABELS = {
    State.FAILED:     gettext_lazy("Failed"),
    State.FAILING:    gettext_lazy("Failing"),
    State.UNFINISHED: gettext_lazy("Unfinished"),
    State.CANCELED:   gettext_lazy("Canceled"),
    State.ON_HOLD:    gettext_lazy("On hold"),
    State.UNKNOWN:    gettext_lazy("Unknown"),
    State.SUCCEEDED:  gettext_lazy("Succeeded"),
}
CLAUSES = {
    State.FAILED:     gettext_lazy("{} failed"),
    State.FAILING:    gettext_lazy("{} is failing"),
    State.UNFINISHED: gettext_lazy("{} is still running, or its end was not received"),
    State.CANCELED:   gettext_lazy("{} was canceled"),
    State.ON_HOLD:    gettext_lazy("{} is on hold"),
    State.UNKNOWN:    gettext_lazy("{} ended with an unknown status"),
    State.SUCCEEDED:  gettext_lazy("{} succeeded"),
}
# fmt: on


def sentence_of(pipeline: Pipeline) -> SafeString:
    """Return a sentence such as "Failed: lint failed in build, after 2 reruns." with the names escaped."""
    shown = [clause_of(run) for run in pipeline.notable[:MAX_NAMES]]
    if more := len(pipeline.notable) - len(shown):
        shown.append(_more(more))
    if pipeline.reruns:
        text = ngettext(", after %(number)d rerun", ", after %(number)d reruns", pipeline.reruns)
        reruns = text % {"number": pipeline.reruns}
    else:
        reruns = ""
    return format_html("{}: {}{}.", LABELS[pipeline.state], format_html_join("; ", "{}", zip(shown)), reruns)


def clause_of(run: WorkflowRun) -> SafeString:
    """Return a clause such as "lint failed in build" with the names escaped."""
    workflow = _isolated(run.name) if run.name else format_html("{}", _("an unnamed workflow"))
    names = run.failed_jobs
    if not names or run.state.tone is not Tone.BAD:
        return format_html(str(CLAUSES[run.state]), workflow)
    jobs = [_isolated(name or "–") for name in names[:MAX_NAMES]]
    if more := len(names) - len(jobs):
        jobs.append(_more(more))
    return format_html(_("{} failed in {}"), format_html_join(", ", "{}", zip(jobs)), workflow)


def _isolated(name: str) -> SafeString:
    return format_html("<bdi>{}</bdi>", Truncator(name).chars(MAX_NAME_LENGTH))


def _more(number: int) -> SafeString:
    return format_html(_("{} more"), number)
