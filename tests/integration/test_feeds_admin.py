"""Feeds in the admin: created once, listed, revoked."""

import re

import pytest
from django.contrib.auth.models import Permission

from logs.models import Feed

pytestmark = pytest.mark.django_db

ADD, LIST = "/admin/logs/feed/add/", "/admin/logs/feed/"


def test_a_new_feed_shows_its_urls_once(admin_client, client):
    page = admin_client.post(ADD, {"name": "<b>press</b>", "branches": "<default>"}).content.decode()
    urls = re.findall(r"http://testserver(/feeds/[\w-]{32}/[\w.]+)</pre>", page)
    assert [url.rpartition("/")[2] for url in urls] == ["badge.svg", "badge.json", "cc.xml", "changes.atom"]
    assert {client.get(url).status_code for url in urls} == {200}
    assert "<b>press" not in page
    assert urls[0].split("/")[2] not in admin_client.get(LIST).content.decode()
    feed = Feed.objects.get()
    assert (feed.name, feed.branches, feed.created_by) == ("<b>press</b>", "<default>", "admin")


def test_a_feed_without_a_name_is_refused(admin_client):
    page = admin_client.post(ADD, {"name": "", "branches": "x" * 2_001}).content.decode()
    assert "This field is required." in page
    assert "at most 2000 characters" in page
    assert not Feed.objects.exists()


def test_a_revoked_feed_is_gone(admin_client, client):
    feed, token = Feed.issue(created_by="ops", name="press")
    url = f"/feeds/{token}/badge.svg"
    assert client.get(url).status_code == 200
    assert "Revoke the feed" in admin_client.get(f"{LIST}{feed.pk}/delete/").content.decode()
    page = admin_client.post(f"{LIST}{feed.pk}/delete/", {"post": "yes"}, follow=True)
    assert page.redirect_chain == [(LIST, 302)]
    assert "Its URLs now get status 404" in page.content.decode()
    assert client.get(url).status_code == 404


def test_the_list_shows_what_each_feed_shows(admin_client, django_assert_max_num_queries):
    for number in range(10):
        Feed.issue(
            created_by="ops",
            name=f"feed {number}",
            projects="press\ncider",
            workflows="build and test",
            branches="<default>",
        )
    Feed.issue(created_by="ops", name="all")
    with django_assert_max_num_queries(5):
        page = admin_client.get(LIST).content.decode()
    assert "projects press, cider; workflows build and test; branches &lt;default&gt;" in page
    assert "everything" in page


def test_an_empty_list_offers_a_feed_to_those_who_may_add_one(admin_client, client, django_user_model):
    page = admin_client.get(LIST).content.decode()
    assert "No feeds yet" in page
    assert page.count("Add feed") == 1
    assert "0 feeds" not in page
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_feed"))
    client.force_login(user)
    page = client.get(LIST).content.decode()
    assert "No feeds yet" in page
    assert "Add feed" not in page


def test_a_list_with_feeds_offers_no_other_action_than_another_feed(admin_client):
    Feed.issue(created_by="ops", name="press")
    page = admin_client.get(LIST).content.decode()
    assert page.count("Add feed") == 1
    assert "No feeds yet" not in page
    assert "delete_selected" not in page


@pytest.mark.parametrize(
    ("permissions", "statuses"),
    [
        ([], (403, 403)),
        (["view_feed"], (200, 403)),
        (["add_feed"], (403, 403)),
        (["add_feed", "view_workflowevent"], (403, 200)),
    ],
)
def test_each_page_needs_its_permission(client, django_user_model, permissions, statuses):
    user = django_user_model.objects.create_user("ops", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    assert (client.get(LIST).status_code, client.get(ADD).status_code) == statuses
    assert client.post(ADD, {"name": "press"}).status_code == statuses[1]
