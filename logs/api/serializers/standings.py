"""The objects for state changes and standings: what their fields mean, and how they are filled."""

from rest_framework import serializers

from logs.api.flat import FlatSerializer, described
from logs.models import Standing, StateChange
from logs.models.standings import TONES

CHANGE_FIELDS = {
    "id": "The change's id.",
    "kind": "`broke` or `fixed`.",
    "project_slug": "The project's slug, such as `github/acme/orchard`.",
    "project": "The project's name.",
    "workflow": "The workflow's name.",
    "branch": "The branch.",
    "event": "CircleCI's event id of the run that changed the state; null if retention has removed the event.",
    "pipeline_number": "The number of that run's pipeline.",
    "revision": "The commit's hash.",
    "author": "The name of the commit's author.",
    "subject": "The first line of the commit's message.",
    "happened_at": "When the run ended.",
    "noted_at": "When the watch recorded the change.",
    "broken_for_seconds": "How long a fixed workflow was broken; null if unknown.",
    "failures": "How many runs in a row had failed before a fix; usually 1 when it broke.",
    "quiet_reason": "Why no rule may report the change; null if rules may (a loud change).",
}
STANDING_FIELDS = {
    "project_slug": "The project's slug, such as `github/acme/orchard`.",
    "project": "The project's name.",
    "project_id": "The project's id.",
    "workflow": "The workflow's name.",
    "branch": "The branch.",
    "tone": "`good` if the deciding run succeeded, `bad` if it failed.",
    "default_branch": "Whether the branch is one of its project's default branches.",
    "failures": "How many runs in a row have failed.",
    "broken_at": "When the first of these runs ended; null if the workflow is not broken.",
    "broken_since": "The event id of the first of these runs; null if retention has removed the event.",
    "last": "The event id of the deciding run; null if retention has removed the event.",
    "last_good": "The event id of the last run that succeeded; null if retention has removed the event.",
    "last_good_at": "When that run ended.",
    "pipeline_number": "The number of the deciding run's pipeline.",
    "stopped_at": "When the deciding run stopped.",
    "last_run_at": "When the newest finished run arrived.",
}


def _id_of(link: str, meaning: str) -> serializers.CharField:
    """Return a field for CircleCI's id of a linked event."""
    return serializers.CharField(source=f"{link}.event_id", allow_null=True, help_text=meaning)


class ChangeSerializer(FlatSerializer):
    """A workflow that broke or was fixed on a branch."""

    event = _id_of("event", CHANGE_FIELDS["event"])

    class Meta:
        model = StateChange
        fields = list(CHANGE_FIELDS)
        read_only_fields = fields
        extra_kwargs = described(CHANGE_FIELDS)


class StandingSerializer(FlatSerializer):
    """The state of a workflow on a branch."""

    tone = serializers.ChoiceField(choices=TONES, help_text=STANDING_FIELDS["tone"])
    default_branch = serializers.BooleanField(
        source="is_on_default_branch", help_text=STANDING_FIELDS["default_branch"]
    )
    broken_since = _id_of("broken_since", STANDING_FIELDS["broken_since"])
    last = _id_of("last", STANDING_FIELDS["last"])
    last_good = _id_of("last_good", STANDING_FIELDS["last_good"])

    class Meta:
        model = Standing
        fields = list(STANDING_FIELDS)
        read_only_fields = fields
        extra_kwargs = described(STANDING_FIELDS)
