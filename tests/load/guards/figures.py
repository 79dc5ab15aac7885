"""Guards of the dashboard and of the rollups that it reads."""

from tests.load.guards.guard import Guard

COUNTING = "logs/insights/counting.py"
SUMS = "logs/insights/sums.py"
SITE = "logs/admin_site.py"
REFRESH_TESTS = "tests/integration/test_rollups.py"
BACKFILL_TESTS = "tests/integration/test_rollup_backfill.py"
RETENTION_TESTS = "tests/integration/test_rollup_retention.py"
PAGE_TESTS = "tests/integration/test_rollup_pages.py"
RIVAL_TESTS = "tests/integration/test_rollup_rivals.py"
ACCESS_TESTS = "tests/integration/test_dashboard.py"
FIGURE_TESTS = "tests/integration/test_dashboard_figures.py"

GUARDS = [
    Guard(
        promise="An hour's sums are replaced as a whole",
        change="add the new ones",
        file=SUMS,
        before="            model.objects.filter(hour=hour).delete()",
        after="            pass",
        test=f"{REFRESH_TESTS}::test_only_hours_that_were_written_to_are_counted_again",
    ),
    Guard(
        promise="An event that is committed late is counted all the same",
        change="look no further back than the last count",
        file=COUNTING,
        before="counted_until, now) - SETTLED_AFTER",
        after="counted_until, now)",
        test=f"{REFRESH_TESTS}::test_what_was_committed_a_minute_after_it_was_written_is_found_all_the_same",
    ),
    Guard(
        promise="A count that stops early leaves the rest to the next one",
        change="take all for counted",
        file=COUNTING,
        before="min(next_written_at + SETTLED_AFTER, now)",
        after="now",
        test=f"{REFRESH_TESTS}::test_a_refresh_that_stops_early_leaves_the_rest_to_the_next_one",
    ),
    Guard(
        promise="An hour is counted whole or not at all",
        change="count outside of a transaction",
        file=COUNTING,
        before="with transaction.atomic(durable=True):\n        state = RollupState.objects.select_for_update()",
        after="if True:\n        state = RollupState.objects",
        test=f"{BACKFILL_TESTS}::test_an_hour_that_could_not_be_counted_whole_is_not_counted_at_all",
    ),
    Guard(
        promise="The sums of an hour that retention has cut stay",
        change="count it again",
        file=SUMS,
        before="if hour >= _first_whole_hour() or not counted.exists():",
        after="if True:",
        test=f"{RETENTION_TESTS}::test_an_hour_that_retention_has_cut_is_not_counted_again_but_a_whole_one_is",
    ),
    Guard(
        promise="Sums outlive the events that retention removes",
        change="drop those of every hour without events",
        file=SUMS,
        before="first = max(_first_whole_hour(), since) if since else _first_whole_hour()",
        after="first = since or datetime.min.replace(tzinfo=UTC)",
        test=f"{RETENTION_TESTS}::test_sums_outlive_the_events_that_retention_removes",
    ),
    Guard(
        promise="Nobody counts what another process is counting, nor waits for it",
        change="do not lock the state",
        file=COUNTING,
        before="RollupState.objects.select_for_update(skip_locked=True).first()",
        after="RollupState.objects.first()",
        test=f"{RIVAL_TESTS}::test_where_another_process_is_counting_nothing_is_done",
        only_on="postgresql",
    ),
    Guard(
        promise="A count stops where another one begins anew",
        change="go on",
        file=COUNTING,
        before="        if state is None:\n",
        after="        if False:\n",
        test=f"{RIVAL_TESTS}::test_a_run_stops_where_another_one_begins_anew",
    ),
    Guard(
        promise="While hours are counted on SQLite, deliveries get the lock",
        change="make no pauses",
        file=COUNTING,
        before='if connection.vendor == "sqlite" and',
        after="if False and",
        test=f"{PAGE_TESTS}::test_pauses_let_a_waiting_writer_in",
        only_on="sqlite",
    ),
    Guard(
        promise="A page counts a bounded number of hours",
        change="count all",
        file=COUNTING,
        before="islice(refresh(), MAX_HOURS_OF_A_PAGE)",
        after="refresh()",
        test=f"{PAGE_TESTS}::test_a_page_counts_a_bounded_number_of_hours",
    ),
    Guard(
        promise="Figures that cannot be brought up to date do not break the page",
        change="let the error through",
        file=COUNTING,
        before='        logger.warning("the rollups could',
        after='        raise\n        logger.warning("the rollups could',
        test=f"{PAGE_TESTS}::test_a_page_goes_on_when_the_database_refuses",
    ),
    Guard(
        promise="Remembered figures are those of the last count",
        change="remember them whatever was counted since",
        file="logs/insights/dashboard.py",
        before="period.until, state.counted_from, state.counted_until)",
        after="period.until)",
        test=f"{ACCESS_TESTS}::test_the_figures_are_read_once_for_each_count",
    ),
    Guard(
        promise="Figures are not remembered while hours are still to be counted",
        change="remember them",
        file="logs/insights/dashboard.py",
        before="    if state.complete_until < state.counted_until:",
        after="    if False:",
        test=f"{ACCESS_TESTS}::test_figures_are_not_remembered_while_hours_are_due",
    ),
    Guard(
        promise="The dashboard says so where what came lately is not counted",
        change="take it for counted",
        file="logs/insights/dashboard.py",
        before="is_current=state.complete_until >= timezone.now() - LATE_AFTER",
        after="is_current=True",
        test=f"{ACCESS_TESTS}::test_says_so_where_what_came_lately_is_not_counted",
    ),
    Guard(
        promise="The dashboard needs the permission to view events",
        change="ask for none",
        file=SITE,
        before="if not request.user.has_perm(VIEW_EVENTS):",
        after="if False:",
        test=f"{ACCESS_TESTS}::test_names_the_permission_that_is_missing",
    ),
    Guard(
        promise="The dashboard shows refusals to those only who may view deliveries",
        change="show them to everybody",
        file=SITE,
        before="with_refusals=request.user.has_perm(VIEW_DELIVERIES)",
        after="with_refusals=True",
        test=f"{ACCESS_TESTS}::test_keeps_refused_deliveries_from_those_who_may_not_view_them",
    ),
    Guard(
        promise="The dashboard reads a bounded number of refusals",
        change="read all of the period",
        file="logs/insights/refusals.py",
        before="[: MOST_READ + 1]",
        after="",
        test=f"{FIGURE_TESTS}::test_reads_a_bounded_number_of_refused_deliveries",
    ),
    Guard(
        promise="A reason of a refusal is escaped on the dashboard",
        change="render it as it is",
        file="logs/templates/logs/admin/dashboard/refusals.html",
        before="reason|truncatechars:200",
        after="reason|safe",
        test=f"{ACCESS_TESTS}::test_hostile_names_are_text",
    ),
    Guard(
        promise="A success rate of 100 % means that nothing failed",
        change="round it to the nearest",
        file="logs/templatetags/figures.py",
        before="int(round(share * 1_000, 6))",
        after="round(share * 1_000)",
        test="tests/unit/insights/test_dashboard.py::test_says_100_percent_of_nothing_but_all",
    ),
]
