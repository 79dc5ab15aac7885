"""Guards of the pages of an event and of a delivery: who sees bodies, and how they are handed on."""

from tests.load.guards.guard import Guard

EVENT_PAGE = "logs/admin/event_page.py"
DELIVERY_PAGE = "logs/admin/delivery_page.py"
CURL = "logs/circleci/curl.py"
BODY_TESTS = "tests/integration/test_admin_bodies.py"
DELIVERY_TESTS = "tests/integration/test_delivery_page.py"
CURL_TESTS = "tests/unit/circleci/test_curl.py"

GUARDS = [
    Guard(
        promise="The page of a delivery shows its body to those only who may see bodies",
        change="show it to everybody",
        file=DELIVERY_PAGE,
        before="may_see_bodies = request.user.has_perm(VIEW_BODIES)",
        after="may_see_bodies = True",
        test=f"{BODY_TESTS}::test_names_the_missing_permission_to_everybody_else",
    ),
    Guard(
        promise="The page of an event shows its payload to those only who may see bodies",
        change="show it to everybody",
        file=EVENT_PAGE,
        before="= may(VIEW_DELIVERIES), may(VIEW_BODIES)",
        after="= may(VIEW_DELIVERIES), True",
        test=f"{BODY_TESTS}::test_names_the_missing_permission_to_everybody_else",
    ),
    Guard(
        promise="The page of an event shows its deliveries to those only who may view deliveries",
        change="show them to everybody",
        file=EVENT_PAGE,
        before="= may(VIEW_DELIVERIES), may(VIEW_BODIES)",
        after="= True, may(VIEW_BODIES)",
        test=f"{BODY_TESTS}::test_deliveries_of_an_event_are_for_those_who_may_view_deliveries",
    ),
    Guard(
        promise="A body that is not shown is not read",
        change="load whole rows",
        file="logs/admin/deliveries.py",
        before="Delivery.objects.for_lists()",
        after="Delivery.objects.all()",
        test=f"{BODY_TESTS}::test_asks_for_no_body_that_it_does_not_show",
    ),
    Guard(
        promise="A body is downloaded by those only who may see bodies",
        change="ask for the permission to view only",
        file="logs/admin/deliveries.py",
        before="if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(VIEW_BODIES)):",
        after="if not request.user.has_perm(VIEW_DELIVERIES):",
        test=f"{DELIVERY_TESTS}::test_hands_no_bytes_to_those_who_may_not_see_them",
    ),
    Guard(
        promise="No browser shows a body as a page of this site",
        change="hand it out as HTML",
        file=DELIVERY_PAGE,
        before='content_type="application/octet-stream"',
        after='content_type="text/html"',
        test=f"{DELIVERY_TESTS}::test_hands_out_the_bytes_as_a_file_that_no_browser_opens",
    ),
    Guard(
        promise="The shell takes a body in the curl command for text",
        change="put it between quotes as it is",
        file=CURL,
        before="{shlex.quote(text)}",
        after="'{text}'",
        test=f"{CURL_TESTS}::test_the_shell_passes_on_the_same_bytes",
    ),
    Guard(
        promise="The shell takes a header in the curl command for text",
        change="put it between quotes as it is",
        file=CURL,
        before="--header {shlex.quote(header)}",
        after="--header '{header}'",
        test=f"{CURL_TESTS}::test_a_header_cannot_reach_the_terminal_or_the_shell",
    ),
    Guard(
        promise="No header in the curl command reaches the terminal as a key",
        change="send control characters on",
        file=CURL,
        before="{_harmless(headers[name])}",
        after="{headers[name]}",
        test=f"{CURL_TESTS}::test_a_header_cannot_reach_the_terminal_or_the_shell",
    ),
    Guard(
        promise="The tree of a payload is bounded",
        change="render all of it",
        file="logs/admin/payload_tree.py",
        before="if self.remaining <= 0 or position",
        after="if position",
        test="tests/unit/admin/test_payload_tree.py::test_renders_no_more_nodes_than_its_bound",
    ),
    Guard(
        promise="The text of a payload is bounded",
        change="indent it however long it becomes",
        file="logs/admin/bodies.py",
        before="if length > MAX_INDENTED_LENGTH:",
        after="if False:",
        test="tests/unit/admin/test_bodies.py::test_what_indenting_would_blow_up_is_shown_as_it_came",
    ),
]
