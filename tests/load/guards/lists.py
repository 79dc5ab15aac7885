"""Guards of the admin's lists: who may read them, what they take, and how much a page reads."""

from tests.load.guards.guard import Guard

LISTS = "logs/admin/lists.py"
LIST_TESTS = "tests/integration/test_admin_lists.py"

GUARDS = [
    Guard(
        promise="A list takes no parameters but the API's",
        change="take any",
        file=LISTS,
        before="if name not in filterset.filters and name not in OWN_PARAMETERS:",
        after="if False:",
        test=f"{LIST_TESTS}::test_says_what_it_does_not_understand_and_lists_nothing",
    ),
    Guard(
        promise="A filter that cannot be understood lists nothing",
        change="list what the others choose",
        file=LISTS,
        before="if not filterset.is_valid():",
        after="if False:",
        test=f"{LIST_TESTS}::test_says_what_it_does_not_understand_and_lists_nothing",
    ),
    Guard(
        promise="A cursor holds for its own ordering only",
        change="take it for any",
        file="logs/reading/readings.py",
        before="if its_ordering != ordering or not is_number",
        after="if not is_number",
        test="tests/integration/test_list_events.py::test_refuses_a_cursor_that_is_none_of_ours",
    ),
    Guard(
        promise="A page searched for words reads its own rows only, however many hold them",
        change="let the index of words lead to all of them",
        file="logs/models/search.py",
        before='[f"({POSTGRESQL_WORDS}) IS TRUE"]',
        after="[POSTGRESQL_WORDS]",
        test="tests/integration/test_filter_plans.py::"
        "test_a_page_that_searches_for_words_does_not_go_through_all_rows_that_hold_them",
        only_on="postgresql",
    ),
    Guard(
        promise="A list needs the permission to view its rows",
        change="ask for none",
        file=LISTS,
        before="self._require_permission(request)\n        usual = ",
        after="usual = ",
        test=f"{LIST_TESTS}::test_staff_without_the_permission_see_nothing",
    ),
    Guard(
        promise="What has arrived since needs the permission to view its rows",
        change="ask for none",
        file=LISTS,
        before="self._require_permission(request)\n        moment",
        after="moment",
        test=f"{LIST_TESTS}::test_staff_without_the_permission_see_nothing",
    ),
    Guard(
        promise="Suggestions need the permission to view the rows",
        change="ask for none",
        file=LISTS,
        before="self._require_permission(request)\n        column",
        after="column",
        test=f"{LIST_TESTS}::test_staff_without_the_permission_see_nothing",
    ),
    Guard(
        promise="Suggestions are given of indexed columns only",
        change="give them of any",
        file=LISTS,
        before="if column not in self.suggested_columns:",
        after="if False:",
        test=f"{LIST_TESTS}::test_suggests_values_that_begin_so",
    ),
    Guard(
        promise="The number of values that suggestions look at is bounded",
        change="look at all",
        file="logs/models/choices.py",
        before=" AND number < %(most)s",
        after="",
        test=f"{LIST_TESTS}::test_suggests_values_that_begin_so",
    ),
    Guard(
        promise="A page of a list holds a bounded number of rows",
        change="list a thousand",
        file=LISTS,
        before="page = reading.page(PAGE_SIZE)\n        moments",
        after="page = reading.page(1_000)\n        moments",
        test=f"{LIST_TESTS}::test_shows_the_newest_first_and_leads_to_all_others_and_back",
    ),
    Guard(
        promise="The list of deliveries reads no bodies",
        change="load whole rows",
        file="logs/models/deliveries.py",
        before='.select_related("event").defer("body")',
        after='.select_related("event")',
        test=f"{LIST_TESTS}::test_a_page_costs_the_same_queries_however_many_rows_it_shows",
    ),
    Guard(
        promise="A live list shows events that become visible after ones that arrived later",
        change="look from the newest row on",
        file=LISTS,
        before="Place(key=moment - SETTLED_AFTER, pk=0)",
        after="Place(key=moment, pk=0)",
        test=f"{LIST_TESTS}::test_an_older_event_whose_transaction_ends_later_is_shown_too",
        only_on="postgresql",
    ),
    Guard(
        promise="A live list asks one question, whatever its filters are",
        change="count as for any page",
        file="logs/reading/readings.py",
        before="filterset.reads_few = self._reads_what_came_lately()",
        after="filterset.reads_few = False",
        test=f"{LIST_TESTS}::test_looking_for_newer_ones_costs_one_query",
    ),
    Guard(
        promise="A live list that was out of sight for long looks at a bounded number of rows",
        change="look at all since",
        file="logs/reading/readings.py",
        before="return bool(self.cursor.place.key >= timezone.now() - LATELY)",
        after="return True",
        test=f"{LIST_TESTS}::test_after_hours_out_of_sight_a_look_is_bounded",
    ),
]
