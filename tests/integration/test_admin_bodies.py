"""The admin shows bodies, which hold authors' e-mail addresses, to those only who may see them."""

import re

import pytest
from django.urls import reverse

from logs.models import Delivery, WorkflowEvent

pytestmark = pytest.mark.django_db

MISSING = "You need permission to view delivery bodies."
EMAIL = "author-of-the-commit@example.org"


@pytest.fixture
def pages(deliver, workflow_document):
    """The pages of an event and of its delivery."""
    document = workflow_document()
    document["pipeline"]["vcs"]["commit"]["author"]["email"] = EMAIL
    deliver(document)
    return [
        reverse(f"admin:logs_{row._meta.model_name}_change", args=[row.pk])
        for row in (WorkflowEvent.objects.get(), Delivery.objects.get())
    ]


@pytest.fixture
def staff_with(user_with, client_of):
    """Make a client of a member of staff who may view events and deliveries, and has further permissions."""

    def make(*codenames):
        user = user_with("view_workflowevent", "view_delivery", *codenames)
        user.is_staff = True
        user.save()
        return client_of(user)

    return make


def test_shows_bodies_to_those_who_may_see_them(staff_with, pages):
    staff = staff_with("view_delivery_body")
    for url in pages:
        page = staff.get(url).content.decode()
        assert EMAIL in page
        assert MISSING not in page


def test_names_the_missing_permission_to_everybody_else(staff_with, pages):
    staff = staff_with("replay_delivery")
    for url in pages:
        answer = staff.get(url)
        assert answer.status_code == 200
        page = answer.content.decode()
        assert page.count(MISSING) == 1
        assert EMAIL not in page


def test_a_bodiless_page_still_shows_everything_else(staff_with, pages):
    staff = staff_with()
    event_page, delivery_page = (staff.get(url).content.decode() for url in pages)
    assert "Payload" in event_page
    assert WorkflowEvent.objects.get().revision in event_page
    assert re.search(r"circleci-signature<.*?>v1=", delivery_page, re.DOTALL)
    assert "Not replayed." in delivery_page


def test_reads_no_body_but_the_one_that_names_the_repository(staff_with, pages, django_assert_max_num_queries):
    """The event's page links to the code host, which only the payload names; it shows nothing else of it."""
    staff = staff_with()
    with django_assert_max_num_queries(30) as captured:
        for url in pages:
            staff.get(url)
    assert sum('"body"' in query["sql"] for query in captured.captured_queries) == 1


@pytest.mark.parametrize("query", ["_to_field=body", "body_text=1", "_popup=1", "fields=body_text,payload"])
def test_no_parameter_brings_a_body_forth(staff_with, pages, query):
    staff = staff_with()
    for url in pages:
        assert EMAIL not in staff.get(f"{url}?{query}", follow=True).content.decode()


def test_neither_lists_nor_histories_hold_bodies(staff_with, pages):
    staff = staff_with("view_delivery_body")
    for url in pages:
        for neighbour in (url.replace("change/", "history/"), re.sub(r"\d+/change/", "", url)):
            answer = staff.get(neighbour)
            assert answer.status_code == 200
            assert EMAIL not in answer.content.decode()


def test_deliveries_of_an_event_are_for_those_who_may_view_deliveries(user_with, client_of, pages):
    user = user_with("view_workflowevent")
    user.is_staff = True
    user.save()
    page = client_of(user).get(pages[0]).content.decode()
    assert "You need permission to view deliveries." in page
    assert "logged" not in page
