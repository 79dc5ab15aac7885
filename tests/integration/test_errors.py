"""Errors outside the endpoints: still of one shape, and helpful."""

import pytest

from logs.api.views import events as event_views


def test_names_the_setting_when_a_host_is_not_allowed(client):
    answer = client.get("/fetch-webhooks-logs", headers={"host": "ci-log.example.org"})
    assert answer.status_code == 400
    assert answer.json() == {
        "detail": "This site does not answer to the host 'ci-log.example.org': add it to ALLOWED_HOSTS.",
        "code": "disallowed_host",
    }


def test_answers_json_for_an_unknown_address(client):
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "There is nothing at /nowhere.", "code": "not_found"}


def test_answers_a_page_to_a_browser_at_an_unknown_address(client):
    answer = client.get("/nowhere", headers={"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_tells_nothing_of_its_insides_when_it_has_a_defect(client, monkeypatch, settings):
    def defect(*args, **kwargs):
        raise RuntimeError("a secret of the insides")

    settings.PUBLIC_READ = True
    client.raise_request_exception = False
    monkeypatch.setattr(event_views.EventListView, "list", defect)
    answer = client.get("/fetch-webhooks-logs")
    assert answer.status_code == 500
    assert answer.json()["code"] == "error"
    assert "insides" not in answer.json()["detail"].replace("its log says what", "")


@pytest.mark.parametrize("path", ["/log-circleci-webhook/a/b", "/log-circleci-webhook/%00", "/log-circleci-webhook%0a"])
def test_answers_404_to_a_webhook_at_an_impossible_address(client, path):
    assert client.post(path, b"{}", content_type="application/json").status_code == 404


def test_the_browsable_api_links_to_the_site_and_to_signing_in(client):
    page = client.get("/fetch-webhooks-logs", headers={"accept": "text/html"})
    assert page.status_code == 401
    assert '<a href="/admin/login/?next=%2Ffetch-webhooks-logs">Sign in</a>' in page.content.decode()


def test_an_error_page_needs_no_database(client):
    """Without the mark `django_db`, any query fails."""
    client.cookies["sessionid"] = "of-an-earlier-visit"
    page = client.get("/nowhere", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert 'href="/admin/logs/workflowevent/"' in page.content.decode()
