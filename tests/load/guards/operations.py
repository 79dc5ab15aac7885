"""Guards of what operators do in the admin: replay, prune, and the groups that may."""

from tests.load.guards.guard import Guard

REPLAYING = "logs/admin/replaying.py"
PRUNING = "logs/admin/pruning.py"
REPLAY_TESTS = "tests/integration/test_admin_replay.py"
PRUNE_TESTS = "tests/integration/test_admin_prune.py"
ROLE_TESTS = "tests/integration/test_roles.py"

GUARDS = [
    Guard(
        promise="Replaying in the admin needs its own permission",
        change="ask for that to view only",
        file=REPLAYING,
        before="if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(REPLAY)):",
        after="if not request.user.has_perm(VIEW_DELIVERIES):",
        test=f"{REPLAY_TESTS}::test_only_operators_replay",
    ),
    Guard(
        promise="No link replays a delivery",
        change="take the confirmation from the address",
        file=REPLAYING,
        before='if "confirm" in request.POST else None)\n    if request.method == "POST" and form',
        after="or request.GET)\n    if form",
        test=f"{REPLAY_TESTS}::test_nothing_happens_by_a_link",
    ),
    Guard(
        promise="Nobody replays or prunes without a reason",
        change="take none for one",
        file="logs/admin/reasons.py",
        before='label=_("Reason"),',
        after='label=_("Reason"),\n        required=False,',
        test=f"{REPLAY_TESTS}::test_nothing_happens_without_a_reason_of_some_words",
    ),
    Guard(
        promise="A page replays a bounded number of deliveries",
        change="replay any number",
        file=REPLAYING,
        before="if len(keys) > MAX_AT_ONCE:",
        after="if False:",
        test=f"{REPLAY_TESTS}::test_takes_so_many_at_once_and_names_the_command_for_more",
    ),
    Guard(
        promise="Asking for the confirmation of a replay writes nothing",
        change="replay at once",
        file=REPLAYING,
        before="actor=request.user.get_username(), dry_run=True)",
        after="actor=request.user.get_username())",
        test=f"{REPLAY_TESTS}::test_shows_what_would_happen_and_writes_nothing",
    ),
    Guard(
        promise="A delivery that retention has removed does not stop the replay of others",
        change="let the error through",
        file=REPLAYING,
        before="        outcomes.gone.append(key)\n        return None",
        after="        raise",
        test=f"{REPLAY_TESTS}::test_passes_over_a_delivery_that_retention_has_removed",
    ),
    Guard(
        promise="The admin's log tells who replayed a delivery and why",
        change="write nothing there",
        file=REPLAYING,
        before="        if result:\n",
        after="        if False:\n",
        test=f"{REPLAY_TESTS}::test_replays_and_notes_who_did_it_and_why",
    ),
    Guard(
        promise="Pruning in the admin needs its own permission",
        change="ask for that to view only",
        file=PRUNING,
        before="if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(PRUNE)):",
        after="if not request.user.has_perm(VIEW_DELIVERIES):",
        test=f"{PRUNE_TESTS}::test_only_operators_prune",
    ),
    Guard(
        promise="No link prunes the log",
        change="take the reason from the address",
        file=PRUNING,
        before='form = ReasonForm(request.POST or None)\n    if request.method == "POST" and form',
        after="form = ReasonForm(request.POST or request.GET or None)\n    if form",
        test=f"{PRUNE_TESTS}::test_nothing_goes_by_a_link",
    ),
    Guard(
        promise="Pruning in the admin ends after a few seconds",
        change="go on to the end",
        file=PRUNING,
        before="if time.monotonic() >= deadline:",
        after="if False:",
        test=f"{PRUNE_TESTS}::test_stops_after_its_time_and_says_that_there_is_more",
    ),
    Guard(
        promise="The admin's log tells what was pruned before an error, too",
        change="write it after success only",
        file=PRUNING,
        before="    try:\n        _delete(deleted)\n    finally:",
        after="    _delete(deleted)\n    if True:",
        test=f"{PRUNE_TESTS}::test_what_was_deleted_before_an_error_is_noted",
    ),
    Guard(
        promise="What a site has changed in a group stays",
        change="set its permissions at each migration",
        file="logs/migrations/0006_groups.py",
        before="if is_new:",
        after="if True:",
        test=f"{ROLE_TESTS}::test_what_a_site_has_changed_stays",
    ),
    Guard(
        promise="The admin's log counts a bounded number of entries",
        change="count all",
        file="logs/admin/log_entries.py",
        before="self.object_list[:MAX_LISTED].count()",
        after="self.object_list.count()",
        test=f"{ROLE_TESTS}::test_the_log_counts_no_further_than_it_shows",
    ),
]
