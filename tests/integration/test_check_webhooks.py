"""`check_webhooks` shows the sources, and reports by its exit code that some are silent or too old."""

import io
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from logs.models import Source, SourceState, WatchTask
from tests.integration.source_log import DAY, HOUR, MINUTE, SECRET, make_delivery, slug_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

NEW, UP, LATE, SILENT = SourceState.NEW, SourceState.UP, SourceState.LATE, SourceState.SILENT


@pytest.fixture(autouse=True)
def webhooks(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"one": SECRET}
    return settings.CIRCLECI_WEBHOOK_SECRETS


@pytest.fixture(autouse=True)
def is_read(clock):
    """The watch has just read all deliveries."""
    return WatchTask.objects.create(name="sources", last_finished_at=datetime.now(UTC))


def check(*arguments):
    """Run the command; return its exit code and its lines."""
    output, code = io.StringIO(), 0
    try:
        call_command("check_webhooks", *arguments, stdout=output)
    except SystemExit as ending:
        code = ending.code
    return code, output.getvalue().splitlines()


def section(lines, title):
    """Return the lines below a title, without the indentation."""
    start = [line.strip() for line in lines].index(title) + 1
    depth = len(lines[start]) - len(lines[start].lstrip())
    rest = lines[start:]
    end = next((at for at, line in enumerate(rest) if len(line) - len(line.lstrip()) < depth), len(rest))
    return [line.strip() for line in rest[:end]]


def make_source(project=None, state=UP, age=MINUTE, webhook="one", **columns):
    at = None if age is None else datetime.now(UTC) - age
    return Source.objects.create(
        webhook=webhook,
        project_slug=slug_of(project),
        project=f"acme/{project}",
        state=state,
        **{"last_delivery_at": at, "state_since": datetime.now(UTC) - 30 * DAY} | columns,
    )


# The lines.


def test_shows_each_project_below_its_webhook_the_silent_ones_first():
    make_source(state=NEW, age=None)
    make_source("harbour", secret_fingerprint="3fa91c07")
    make_source("orchard", SILENT, 5 * HOUR, muted_until=datetime.now(UTC) + DAY)
    code, lines = check()
    muted = "muted until 2026-05-05 10:30 UTC"
    assert section(lines, "sources:") == [
        f"github/acme/orchard: silent; last delivery: 2026-05-04 05:30:00 UTC (5 hours ago); {muted}",
        "github/acme/harbour: up; last delivery: 2026-05-04 10:29:00 UTC (1 minute ago); secret 3fa91c07",
    ]
    assert code == 0


def test_shows_a_webhook_itself_if_it_has_no_projects():
    make_source(state=NEW, age=None)
    assert section(check()[1], "sources:") == ["all projects: new; last delivery: never"]


def test_cuts_long_lists(webhooks):
    for number in range(13):
        make_source(f"project-{number:02}", SILENT if number > 9 else UP, 2 * DAY)
    code, lines = check()
    shown = section(lines, "sources:")
    assert len(shown) == 11
    assert [line.split(":")[0] for line in shown[:4]] == [slug_of(f"project-{each}") for each in (10, 11, 12, "00")]
    assert shown[-1] == "and 3 more"
    assert len(section(check("--max-age", "1d")[1], "Problems")) == 11
    assert code == 1


def test_prints_no_control_characters_of_projects():
    make_source("\x1b[31m", SILENT)
    assert all(line.isprintable() for line in check()[1])


# The exit code.


@pytest.mark.parametrize(("state", "code"), [(NEW, 0), (UP, 0), (LATE, 0), (SILENT, 1)])
def test_fails_if_a_source_is_silent(state, code):
    make_source("orchard", state, 5 * HOUR)
    make_source("harbour")
    found, lines = check()
    assert found == code
    if code:
        assert section(lines, "Problems") == [
            "one · acme/orchard is silent; last delivery: 2026-05-04 05:30:00 UTC (5 hours ago)"
        ]
        assert section(lines, "News") == ["current"]


def test_fails_and_says_since_when_nothing_is_known_if_every_source_is_silent():
    make_source("orchard", SILENT, 2 * DAY)
    make_source("harbour", SILENT, 3 * DAY)
    code, lines = check()
    unknown = "no news since 2026-05-02 10:30:00 UTC (2 days ago): the state of the workflows is unknown"
    assert section(lines, "News") == [unknown]
    assert (code, section(lines, "Problems")[-1]) == (1, unknown)
    code, lines = check("--max-age", "7d")
    assert (code, section(lines, "Problems")) == (1, [unknown])


def test_fails_if_a_new_webhook_has_not_delivered_for_a_day():
    make_source(state=NEW, age=None)
    code, lines = check()
    assert (code, section(lines, "Problems")) == (1, ["no news yet: the state of the workflows is unknown"])


def test_a_muted_source_is_no_problem():
    make_source(state=NEW, age=None, muted_until=datetime.now(UTC) + DAY)
    make_source("orchard", SILENT, 5 * DAY)
    code, lines = check()
    assert (code, "the state of the workflows is unknown" in section(lines, "News")[0]) == (0, True)
    assert check("--max-age", "24h")[0] == 0


@pytest.mark.parametrize(("age", "code"), [(DAY, 0), (DAY + MINUTE, 1)])
def test_fails_if_the_last_delivery_of_a_source_is_older_than_the_given_age(age, code):
    make_source("orchard", UP, age)
    make_source("harbour", SILENT, 2 * HOUR)
    make_source("shed", UP, HOUR)
    found, lines = check("--max-age", "24h")
    assert found == code
    if code:
        old = "one · acme/orchard has not delivered within the given age"
        assert section(lines, "Problems") == [f"{old}; last delivery: 2026-05-03 10:29:00 UTC (1 day ago)"]


def test_fails_if_a_configured_webhook_has_never_delivered(webhooks):
    webhooks.update({"two": SECRET, "three": SECRET})
    make_source("orchard")
    make_source(webhook="two", state=NEW, age=None)
    code, lines = check("--max-age", "7d")
    assert (code, section(lines, "Problems")) == (1, ["two has never delivered", "three has never delivered"])


def test_the_age_of_a_ping_does_not_matter_if_the_webhook_has_projects():
    make_source(state=NEW, age=30 * DAY)
    make_source("orchard")
    assert check("--max-age", "24h")[0] == 0


def test_webhooks_that_are_no_longer_configured_are_no_problem():
    make_source("orchard")
    make_source("harbour", SILENT, 9 * DAY, webhook="removed")
    assert (check()[0], check("--max-age", "24h")[0]) == (0, 0)


@pytest.mark.parametrize("arguments", [(), ("--max-age", "7d")])
@pytest.mark.parametrize("is_muted", [False, True])
def test_fails_if_the_watch_does_not_run(is_read, arguments, is_muted):
    make_source("orchard")
    Source.objects.update(muted_until=datetime.now(UTC) + DAY if is_muted else None)
    is_read.last_finished_at = datetime.now(UTC) - HOUR
    is_read.save()
    unknown = "the watch has not read the deliveries since 2026-05-04 09:30:00 UTC (1 hour ago)"
    code, lines = check(*arguments)
    assert section(lines, "News") == [f"{unknown}: the state of the workflows is unknown"]
    assert (code, section(lines, "Problems")) == (1, section(lines, "News"))


def test_fails_if_the_watch_has_never_run(is_read):
    is_read.delete()
    code, lines = check("--max-age", "7d")
    unknown = "the watch has not read the deliveries yet: the state of the workflows is unknown"
    assert (code, section(lines, "Problems")) == (1, ["one has never delivered", unknown])


def test_the_age_is_that_of_the_newest_delivery_even_if_the_watch_has_not_read_it():
    make_source(state=NEW, age=None, state_since=datetime.now(UTC))
    make_delivery("orchard", at=datetime.now(UTC) - HOUR)
    assert check("--max-age", "24h")[0] == 0
    make_source("orchard", age=3 * DAY)
    assert check("--max-age", "24h")[0] == 0
    assert check("--max-age", "30m")[0] == 1


@pytest.mark.parametrize("age", ["0h", "24", "never", "-1h", ""])
def test_rejects_what_is_not_an_age(age):
    with pytest.raises(CommandError, match=r"Invalid age .*: use a number and m, h or d, such as 30m, 24h or 7d"):
        call_command("check_webhooks", f"--max-age={age}")
