"""What ops see in the admin, and what nobody can do there."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import reverse

from logs.models import ApiToken, Delivery, WorkflowEvent

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>{{ 7*7 }}\u202e'\""
EVENTS = reverse("admin:logs_workflowevent_changelist")
DELIVERIES = reverse("admin:logs_delivery_changelist")


def page_of(row):
    return reverse(f"admin:logs_{row._meta.model_name}_change", args=[row.pk])


def read(client, url):
    answer = client.get(url)
    assert answer.status_code == 200, url
    return answer.content.decode()


@pytest.fixture
def admin_site(admin_client, deliver, workflow_document):
    """The admin of a log that holds an event, a duplicate of it, and one refused delivery of each kind."""
    document = workflow_document(status="failed")
    deliver(document)
    deliver(document)
    deliver(b"[1, 2]")
    deliver(b"\xff\x00", secret="a wrong one")
    return admin_client


def test_lists_events_with_what_one_looks_for_first(admin_site, workflow_document):
    document = workflow_document(status="failed")
    page = read(admin_site, EVENTS)
    assert '<span class="pill pill-bad"><span aria-hidden="true">✕</span> failed</span>' in page
    for text in (
        document["project"]["name"],
        document["workflow"]["name"],
        document["pipeline"]["vcs"]["branch"],
        document["pipeline"]["vcs"]["revision"][:7],
        f'href="{document["workflow"]["url"]}"',
    ):
        assert text in page


def test_shows_an_event_with_its_payload_and_its_deliveries(admin_site, workflow_document):
    event = WorkflowEvent.objects.get()
    page = read(admin_site, page_of(event))
    assert f"&quot;id&quot;: &quot;{event.event_id}&quot;" in page
    assert [page.count(f'href="{page_of(delivery)}"') for delivery in event.deliveries.all()] == [1, 1]
    assert "the same version of a known event" in page


def test_says_so_when_retention_has_removed_the_payload(admin_site):
    Delivery.objects.all().delete()
    page = read(admin_site, page_of(WorkflowEvent.objects.get()))
    assert "Retention has removed the payload." in page
    assert "Retention has removed the deliveries." in page


def test_lists_deliveries_with_outcome_and_reason(admin_site):
    page = read(admin_site, DELIVERIES)
    assert '<span class="pill pill-good"><span aria-hidden="true">✓</span> logged</span>' in page
    assert '<span class="pill pill-bad"><span aria-hidden="true">✕</span> unverified</span>' in page
    assert "not a JSON object but a JSON array" in page
    assert page_of(WorkflowEvent.objects.get()) in page


def test_shows_a_delivery_with_its_headers_and_body(admin_site):
    page = read(admin_site, page_of(Delivery.objects.get(outcome="malformed")))
    assert "circleci-signature: v1=" in page
    assert "[1, 2]" in page


def test_shows_a_body_that_is_no_text_in_hexadecimal(admin_site):
    assert "ff 00" in read(admin_site, page_of(Delivery.objects.get(outcome="unverified")))


@pytest.mark.parametrize("action", ["add", "delete"])
def test_nobody_adds_or_deletes_rows(admin_site, action):
    for row in (WorkflowEvent.objects.get(), Delivery.objects.first()):
        args = [row.pk] if action == "delete" else []
        url = reverse(f"admin:logs_{row._meta.model_name}_{action}", args=args)
        assert admin_site.get(url).status_code == 403
        assert admin_site.post(url, {"post": "yes"}).status_code == 403


def test_nobody_changes_rows(admin_site):
    event = WorkflowEvent.objects.get()
    assert admin_site.post(page_of(event), {"status": "success"}).status_code == 403
    assert WorkflowEvent.objects.get().status == "failed"


def test_there_is_no_bulk_deletion(admin_site):
    assert "delete_selected" not in read(admin_site, EVENTS)


def test_staff_without_the_permission_see_nothing(client, admin_site):
    user = get_user_model().objects.create_user("staff", is_staff=True)
    client.force_login(user)
    assert client.get(EVENTS).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_workflowevent"))
    assert client.get(EVENTS).status_code == 200
    assert client.get(DELIVERIES).status_code == 403


def test_strangers_are_sent_to_the_login(client):
    assert client.get(EVENTS).headers["Location"].startswith("/admin/login/")


def test_hostile_texts_are_escaped_and_only_web_addresses_are_linked(admin_client, deliver, workflow_document):
    document = workflow_document()
    document["workflow"] |= {"name": HOSTILE, "status": HOSTILE, "url": "javascript:alert(1)"}
    document["project"]["name"] = HOSTILE
    document["pipeline"]["vcs"] |= {"branch": HOSTILE, "revision": HOSTILE}
    document["pipeline"]["vcs"]["commit"] |= {"subject": HOSTILE, "author": {"name": HOSTILE}}
    document[HOSTILE] = "a lone surrogate: \ud800"
    deliver(document, headers={"user-agent": HOSTILE.encode("utf-8").decode("latin-1")})
    for url in (EVENTS, DELIVERIES, page_of(WorkflowEvent.objects.get()), page_of(Delivery.objects.get())):
        page = read(admin_client, url)
        assert "<script>alert(1)" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert 'href="javascript:' not in page


def test_the_root_leads_to_the_admin(client):
    assert client.get("/").headers["Location"] == "/admin/"


def test_both_lists_show_the_newest_first(admin_client, deliver, workflow_document):
    for seed in range(3):
        deliver(workflow_document(seed))
    for url, model in ((EVENTS, WorkflowEvent), (DELIVERIES, Delivery)):
        page = read(admin_client, url)
        places = [page.index(f'href="{page_of(row)}') for row in model.objects.order_by("-pk")]
        assert places == sorted(places)


def test_shows_durations_tags_and_letters_as_people_write_them(admin_client, deliver, workflow_document):
    document = workflow_document(tag="v1.2.3", author="Zoë Größe", project="сад")
    document["workflow"] |= {"created_at": "2026-05-04T10:00:00Z", "stopped_at": "2026-05-04T11:02:03Z"}
    deliver(document)
    document["pipeline"]["vcs"]["tag"] = "v1.2.3"
    deliver(document | {"id": "with-a-tag"})
    page = read(admin_client, EVENTS)
    assert "1 h 2 min" in page
    assert "v1.2.3" in page
    assert "Zoë Größe" in page
    assert "Zoë Größe" in read(admin_client, page_of(WorkflowEvent.objects.get(event_id="with-a-tag")))


def test_says_when_an_event_has_more_deliveries_than_it_shows(admin_client, deliver, workflow_document):
    for second in range(51):
        deliver(workflow_document() | {"happened_at": f"2026-05-04T10:00:{second:02}Z"})
    assert "Only the newest are shown." in read(admin_client, page_of(WorkflowEvent.objects.get()))


def test_an_event_without_an_address_in_circleci_has_no_link(admin_client, deliver):
    deliver(b'{"id": "bare", "type": "job-completed"}')
    assert "in CircleCI" not in read(admin_client, EVENTS)


def test_an_event_leads_to_its_pipeline_and_to_circleci(admin_client, deliver, workflow_document):
    deliver(workflow_document(pipeline=4711))
    event = WorkflowEvent.objects.get()
    page = " ".join(read(admin_client, EVENTS).split())
    assert f'<a href="{reverse("admin:pipeline", args=[event.pk])}">#4711</a>' in page
    assert f'<a class="external" href="{event.circleci_url}" rel="noopener noreferrer" target="_blank">' in page
    assert "Open in CircleCI, in a new tab" in page


def test_moments_say_that_they_are_in_utc(admin_client, admin_user, deliver, workflow_document):
    deliver(workflow_document())
    delivery = Delivery.objects.get()
    assert str(delivery).endswith(" UTC")
    page = read(admin_client, EVENTS)
    assert "From (<span data-clock>UTC</span>)" in page
    assert "Times in <span data-clock>UTC</span>." in page
    ApiToken.issue(admin_user, name="Grafana", lifetime=timedelta(days=1))
    LogEntry.objects.log_actions(admin_user.pk, [delivery], action_flag=CHANGE, single_object=True)
    for name in ("logs_apitoken", "admin_logentry"):
        page = read(admin_client, reverse(f"admin:{name}_changelist"))
        told = re.findall(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(?: UTC)?|\d, 20\d\d,[^<]*", page)
        assert told
        assert [each for each in told if not each.endswith(" UTC")] == []


def test_its_own_texts_can_be_translated(admin_client, admin_user, monkeypatch):
    ApiToken.issue(admin_user, name="Grafana", lifetime=None)
    monkeypatch.setattr("django.utils.translation._trans.gettext", lambda text: f"«{text}»", raising=False)
    page = read(admin_client, reverse("admin:logs_apitoken_changelist"))
    for text in ("valid", "never", "begins with", "last used"):
        assert f"«{text}»" in page
    missing = admin_client.get("/nowhere/", headers={"accept": "text/html"})
    assert missing.status_code == 404
    assert "«Page not found»" in missing.content.decode()
