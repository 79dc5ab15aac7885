"""Guards of the stream of deliveries, and of the commands that pass them on."""

from tests.load.guards.guard import Guard

STREAM = "logs/reading/stream.py"
PLACES = "logs/reading/places.py"
VIEW = "logs/api/views/streaming.py"
LISTEN = "logs/management/commands/listen.py"
FORWARDING = "logs/management/forwarding.py"
KEYS = "logs/management/keys.py"
STREAM_TESTS = "tests/integration/test_stream.py"
TERMINAL_TESTS = "tests/integration/test_listen_terminal.py"
FORWARDING_TESTS = "tests/unit/management/test_forwarding.py"
KEY_TESTS = "tests/unit/management/test_keys.py"

GUARDS = [
    Guard(
        promise="A delivery that is committed late is not left out of the stream",
        change="wait for nobody",
        file=STREAM,
        before="keys[-1] == after + len(keys) or writers_finish(within_seconds=WRITING_SECONDS):",
        after="True:",
        test=f"{STREAM_TESTS}::test_a_lower_key_that_is_committed_later_is_not_missed",
        only_on="postgresql",
    ),
    Guard(
        promise="What is being written when the present is asked for is no part of the future",
        change="wait for nobody",
        file=PLACES,
        before="if not writers_finish(within_seconds=WRITING_SECONDS):",
        after="if False:",
        test=f"{STREAM_TESTS}::test_the_present_is_behind_what_was_being_written_when_it_was_asked_for",
        only_on="postgresql",
    ),
    Guard(
        promise="Writers that come later hold up no reader of the stream",
        change="wait until nobody writes",
        file="logs/reading/settling.py",
        before="unfinished &= _writers()",
        after="unfinished = _writers()",
        test="tests/unit/reading/test_settling.py::test_waits_for_those_who_were_writing_and_not_for_who_came_later",
    ),
    Guard(
        promise="The stream reads the events of its deliveries only, however many there are of that kind",
        change="let an index lead to all of them",
        file=STREAM,
        before='alias(wanted=unindexed(column)).filter(pk=OuterRef("event"), wanted__in=wanted)',
        after='filter(**{"pk": OuterRef("event"), f"{column}__in": wanted})',
        test="tests/integration/test_delivery_plans.py::"
        "test_the_stream_looks_up_the_events_of_its_deliveries_and_not_all_of_that_kind",
        only_on="postgresql",
    ),
    Guard(
        promise="A cursor that a restored log has not come to is refused",
        change="take it",
        file=PLACES,
        before="if key > _last_given_key():",
        after="if False:",
        test=f"{STREAM_TESTS}::test_a_cursor_behind_the_end_is_refused_with_what_to_do",
    ),
    Guard(
        promise="An answer of the stream holds a bounded number of bytes",
        change="take any number",
        file=STREAM,
        before=" if total <= MAX_BODIES_BYTES",
        after="",
        test=f"{STREAM_TESTS}::test_an_answer_holds_so_many_bytes_or_one_delivery",
    ),
    Guard(
        promise="A quarter of the threads wait for deliveries, no more",
        change="let all wait",
        file=VIEW,
        before="BoundedSemaphore(settings.WEB_THREADS // 4)",
        after="BoundedSemaphore(settings.WEB_THREADS)",
        test=f"{STREAM_TESTS}::test_a_quarter_of_the_threads_may_wait",
    ),
    Guard(
        promise="Who waits for deliveries does not hold up a restart",
        change="wait to the end",
        file=VIEW,
        before='return not getattr(worker, "alive", True)',
        after="return False",
        test=f"{STREAM_TESTS}::test_ends_when_the_server_does",
    ),
    Guard(
        promise="The stream needs the permission to view bodies",
        change="ask for that to view deliveries only",
        file=VIEW,
        before="required_permissions = [VIEW_DELIVERIES, VIEW_BODIES]",
        after="required_permissions = [VIEW_DELIVERIES]",
        test="tests/integration/test_api_permissions.py::test_a_permission_opens_what_the_table_says",
    ),
    Guard(
        promise="Payloads are passed on to private addresses only, unless told otherwise",
        change="take any address",
        file=FORWARDING,
        before="        if not _is_private(each):",
        after="        if False:",
        test=f"{FORWARDING_TESTS}::test_the_internet_is_refused",
    ),
    Guard(
        promise="An address that breaks off every answer holds up a delivery for three tries only",
        change="try for ever",
        file=LISTEN,
        before="next(broken_off) < MAX_BROKEN_OFF",
        after="True",
        test=f"{TERMINAL_TESTS}::test_a_delivery_whose_answers_break_off_is_sent_three_times_and_the_next_follows",
    ),
    Guard(
        promise="A second Ctrl-C leaves the terminal as it was, too",
        change="restore it after the wait",
        file=KEYS,
        before="        if _is_in_foreground(terminal):\n"
        "            termios.tcsetattr(terminal, termios.TCSANOW, before)\n"
        "        over.set()\n        thread.join(2 * LOOK_SECONDS)",
        after="        over.set()\n        thread.join(2 * LOOK_SECONDS)\n"
        "        termios.tcsetattr(terminal, termios.TCSANOW, before)",
        test=f"{KEY_TESTS}::test_a_second_ctrl_c_leaves_the_terminal_as_it_was_too",
    ),
    Guard(
        promise="A command in a shell's background leaves the terminal alone",
        change="change it all the same",
        file=KEYS,
        before=" or not _is_in_foreground(sys.stdin.fileno())",
        after="",
        test=f"{KEY_TESTS}::test_goes_on_in_a_shells_background",
    ),
    Guard(
        promise="A header cannot add another one when a delivery is sent again",
        change="send it as it is",
        file="logs/management/sending.py",
        before='_LINE_ENDS.sub("?", value)',
        after="value",
        test="tests/unit/management/test_resending.py::test_a_letter_that_no_header_can_carry_is_replaced",
    ),
    Guard(
        promise="An anonymised payload tells no number of an organization",
        change="keep numbers in addresses",
        file="logs/circleci/anonymising.py",
        before=' if before == "jobs" or behind == "workflows" else self._number(part)',
        after="",
        test="tests/unit/circleci/test_anonymising.py"
        "::test_a_number_in_an_address_is_the_same_as_elsewhere_and_changes_unless_it_counts_pipelines_or_jobs",
    ),
]
