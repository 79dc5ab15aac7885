"""Guards of one row for each event, in its newest version, and of replays that change nothing else."""

from tests.load.guards.guard import Guard

PIPELINE = "logs/ingest/pipeline.py"
IDENTITY = "logs/ingest/identity.py"
REPLAY = "logs/ingest/replay.py"
RECEIVE_TESTS = "tests/integration/test_receive_webhook.py"
VERSIONS_TESTS = "tests/integration/test_event_versions.py"
REPLAY_TESTS = "tests/integration/test_replay.py"
PRUNE_TESTS = "tests/integration/test_prune.py"

GUARDS = [
    Guard(
        promise="An event that comes again is logged once",
        change="insert without `ON CONFLICT`",
        file="logs/ingest/insertion.py",
        before='"ON CONFLICT (event_id) DO NOTHING"',
        after='""',
        test=f"{RECEIVE_TESTS}::test_logs_an_event_once_however_often_it_is_delivered",
    ),
    Guard(
        promise="The database itself holds one row for each event",
        change="no unique constraint",
        file="logs/migrations/0001_initial.py",
        before="models.UniqueConstraint(fields=('event_id',), name='event_id_unique'), ",
        after="",
        test=f"{RECEIVE_TESTS}::test_logs_an_event_once_however_often_it_is_delivered",
    ),
    Guard(
        promise="An older version never overwrites a newer one",
        change="let any other version do so",
        file=PIPELINE,
        before="elif not is_same and is_newer_version(row, known):",
        after="elif not is_same:",
        test=f"{VERSIONS_TESTS}::test_the_newest_version_wins_in_every_order_of_arrival",
    ),
    Guard(
        promise="Of two versions at once, the second sees what the first has written",
        change="do not lock the row",
        file=PIPELINE,
        before="WorkflowEvent.objects.select_for_update(no_key=True).filter(",
        after="WorkflowEvent.objects.filter(",
        test=f"{VERSIONS_TESTS}::test_the_newest_of_concurrent_versions_wins",
        only_on="postgresql",
    ),
    Guard(
        promise="Of two versions of one moment, the one that ended later is shown",
        change="leave the end out of the order",
        file=IDENTITY,
        before="row.happened_at or NEVER, row.stopped_at or NEVER)",
        after="row.happened_at or NEVER, NEVER)",
        test=f"{VERSIONS_TESTS}::test_of_two_versions_of_one_moment_the_one_that_stopped_later_wins",
    ),
    Guard(
        promise="A version without a time never replaces one that has it",
        change="take a missing time for the latest",
        file=IDENTITY,
        before="NEVER = datetime.min.replace(tzinfo=UTC)",
        after="NEVER = datetime.max.replace(tzinfo=UTC)",
        test=f"{VERSIONS_TESTS}::test_a_version_without_a_time_never_replaces_one_that_has_it",
    ),
    Guard(
        promise="What nobody signed never replaces what CircleCI signed",
        change="leave `verified` out of the order",
        file=IDENTITY,
        before="return (row.verified, row.happened_at",
        after="return (True, row.happened_at",
        test=f"{RECEIVE_TESTS}::test_an_unsigned_version_never_replaces_a_signed_one",
    ),
    Guard(
        promise="An update keeps the time at which the event first arrived",
        change="take the time of the update",
        file=PIPELINE,
        before="row.pk, row.received_at, row.duplicates = known.pk, known.received_at, known.duplicates",
        after="row.pk = known.pk",
        test=f"{VERSIONS_TESTS}::test_an_update_keeps_the_first_time_of_arrival",
    ),
    Guard(
        promise="An event that retention removes while it arrives again is logged",
        change="do not look whether it is still there",
        file=PIPELINE,
        before="    if known is None:",
        after="    if False:",
        test=f"{RECEIVE_TESTS}::test_an_event_that_retention_removes_while_it_arrives_again_is_logged_after_all",
    ),
    Guard(
        promise="An event older than the log keeps them is not resurrected",
        change="log it",
        file=PIPELINE,
        before="if oldest and event.happened_at and event.happened_at < oldest:",
        after="if False:",
        test=f"{PRUNE_TESTS}::test_a_removed_event_is_not_resurrected_by_its_delivery",
    ),
    Guard(
        promise="Where retention is off, nothing is too old",
        change="take 0 days for a limit",
        file="logs/retention.py",
        before="return timezone.now() - timedelta(days=days) if days else None",
        after="return timezone.now() - timedelta(days=days)",
        test=f"{PRUNE_TESTS}::test_a_removed_event_comes_back_where_events_are_kept_for_ever",
    ),
    Guard(
        promise="A body that was cut is never judged",
        change="judge what is left of it",
        file=REPLAY,
        before="if not delivery.is_whole:",
        after="if False:",
        test=f"{REPLAY_TESTS}::test_says_that_a_cut_body_cannot_be_judged_again",
    ),
    Guard(
        promise="A replayed event keeps the time at which its delivery arrived",
        change="take the time of the replay",
        file=REPLAY,
        before="received_at=delivery.received_at,",
        after="received_at=timezone.now(),",
        test=f"{REPLAY_TESTS}::test_the_wrong_secret_is_refused_shown_mended_replayed_and_logged",
    ),
    Guard(
        promise="A dry run of a replay writes nothing",
        change="commit it",
        file=REPLAY,
        before="        transaction.set_rollback(dry_run)\n",
        after="",
        test=f"{REPLAY_TESTS}::test_a_dry_run_judges_but_writes_nothing",
    ),
    Guard(
        promise="The verdict on an accepted delivery stays",
        change="write the new one",
        file=REPLAY,
        before="        if before in REFUSED:\n",
        after="        if True:\n",
        test=f"{REPLAY_TESTS}::test_reads_the_columns_of_an_accepted_delivery_anew",
    ),
    Guard(
        promise="A delivery keeps the history of its attempts, its arrival included",
        change="leave the arrival out",
        file=REPLAY,
        before="if not delivery.attempts.exists():",
        after="if False:",
        test=f"{REPLAY_TESTS}::test_the_delivery_keeps_the_history_of_its_attempts",
    ),
    Guard(
        promise="A replayed older version overwrites nothing",
        change="read the columns of any version anew",
        file=PIPELINE,
        before="elif is_same and read_anew:",
        after="elif read_anew:",
        test=f"{REPLAY_TESTS}::test_a_replayed_older_version_does_not_overwrite_a_newer_one",
    ),
    Guard(
        promise="Two replays of one delivery come one after the other",
        change="do not lock it",
        file=REPLAY,
        before="Delivery.objects.select_for_update().get(",
        after="Delivery.objects.get(",
        test=f"{REPLAY_TESTS}::test_waits_for_whoever_holds_the_delivery",
        only_on="postgresql",
    ),
]
