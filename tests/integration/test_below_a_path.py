"""A site below a path of its host (SCRIPT_NAME): everything it points to is below that path, and is there."""

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

import pytest

from logs.circleci import samples
from tests.integration.live import live_site
from tests.load import exports, nginx
from tests.load.engines import manage
from tests.load.senders import SECRET
from tests.load.server import PROJECT
from tests.load.wire import HOST, RECEIVING_PATH

PASSWORD = "a-password-of-these-tests"
AS_A_BROWSER = ("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
LOCATIONS = ("href", "src", "action", "formaction", "poster")


class Links(HTMLParser):
    """Collects what a page points to: in attributes that browsers follow, and in those that scripts read."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found += [
            value
            for name, value in attributes
            if value and (name in LOCATIONS or (name.startswith("data-") and value.startswith("/")))
        ]


class NoRedirects(HTTPRedirectHandler):
    """Takes a redirect for an answer."""

    def redirect_request(self, *_):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    url: str  # The last one, after redirects.
    status: int
    headers: Any
    body: bytes


def fetch(request, opener=None):
    """Return an answer, whatever its status; without an opener, redirects are not followed."""
    try:
        response = (opener or build_opener(NoRedirects)).open(request, timeout=30)
    except HTTPError as error:
        response = error
    with response:
        return Answer(url=response.url, status=response.status, headers=response.headers, body=response.read())


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site below /ci, by one of the ways to it."""

    running: Any
    token: str
    url: str  # Without a slash at its end.

    def read(self, path):
        """Return an answer to the token."""
        return fetch(Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"}))

    def post_webhook(self):
        """Send an event, and return its id."""
        document = samples.workflow_completed(random=random.Random())
        body = samples.encode(document)
        assert fetch(Request(self.url + RECEIVING_PATH, body, samples.headers(body, document, SECRET))).status == 201
        return document["id"]

    def sign_in(self):
        """Return a browser of the administrator's."""
        cookies = CookieJar()
        browser = build_opener(HTTPCookieProcessor(cookies))
        browser.addheaders = [AS_A_BROWSER, ("Referer", self.url)]
        page = fetch(f"{self.url}/", browser)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode()).group(1)
        fields = {"csrfmiddlewaretoken": token, "username": "admin", "password": PASSWORD}
        assert fetch(Request(page.url, urlencode(fields).encode()), browser).url == f"{self.url}/admin/"
        assert {cookie.path for cookie in cookies} == {"/ci/"}
        return browser


@pytest.fixture(scope="module")
def running(pytestconfig):
    with live_site(pytestconfig.getoption("database"), SCRIPT_NAME="/ci", API_REQUESTS_PER_MINUTE="0") as (_, running):
        account = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        options = ["--noinput", "--username=admin", "--email=admin@acme.example"]
        manage(running.server.environment | account, "createsuperuser", *options)
        yield running


@pytest.fixture(scope="module")
def token(running):
    return exports.token_of(running)


@pytest.fixture(scope="module", params=["direct", "the proxy passes the path on", "the proxy removes the path"])
def site(request, running, token):
    port = running.server.port
    if request.param == "direct":
        yield Site(running=running, token=token, url=f"http://{HOST}:{port}/ci")
        return
    if nginx.executable() is None:
        pytest.skip("nginx is not installed (apt-get install nginx)")
    sample = nginx.documented().replace("location / {", "location /ci/ {")
    if "removes" in request.param:
        sample = sample.replace(nginx.DOCUMENTED_UPSTREAM, f"{nginx.DOCUMENTED_UPSTREAM}/")
    with nginx.nginx(running.folder / request.param.replace(" ", "-"), port, sample) as proxy_port:
        yield Site(running=running, token=token, url=f"http://{HOST}:{proxy_port}/ci")


def test_every_page_points_below_the_path_and_its_styles_and_scripts_are_there(site):
    site.post_webhook()
    delivery = json.loads(site.read("/deliveries").body)[0]["id"]
    events, deliveries = "/admin/logs/workflowevent/", "/admin/logs/delivery/"
    pages = ["/admin/", events, deliveries, f"{deliveries}{delivery}/change/", "/admin/logs/delivery/prune/"]
    pages += [
        "/fetch-webhooks-logs",
        "/deliveries",
        "/api/changes",
        "/api/standings",
        "/api/docs",
        "/admin/auth/user/",
        "/admin/password_change/",
        "/none",
    ]
    browser, files = site.sign_in(), set()
    for path in pages:
        answer = fetch(site.url + path, browser)
        assert answer.status == (404 if path == "/none" else 200), path
        links = [urljoin(answer.url, link) for link in Links(answer.body.decode()).found]
        own = [link for link in links if urlsplit(link).netloc == urlsplit(site.url).netloc]
        assert own, path
        assert [link for link in own if not link.startswith(f"{site.url}/")] == [], path
        files |= {link for link in own if link.endswith((".css", ".js", ".svg"))}
    assert len(files) > 8
    assert {fetch(url).status for url in files} == {200}


@pytest.mark.parametrize(("path", "target"), [("/", "/ci/admin/"), ("/admin/", "/ci/admin/login/?next=/ci/admin/")])
def test_redirects_lead_below_the_path(site, path, target):
    answer = fetch(site.url + path)
    assert (answer.status, answer.headers["Location"]) == (302, target)


def test_the_api_and_its_description_are_below_the_path(site):
    site.post_webhook()
    event_id = site.post_webhook()
    answer = site.read("/fetch-webhooks-logs?limit=1")
    assert json.loads(answer.body)[0]["id"] == event_id
    links = re.findall(r"<([^>]*)>", answer.headers["Link"])
    assert len(links) == 2
    assert all(link.startswith(f"{site.url}/fetch-webhooks-logs?") for link in links)
    description = json.loads(site.read("/api/schema").body)
    assert [server["url"] for server in description["servers"]] == ["/ci"]
    assert "/fetch-webhooks-logs" in description["paths"]


def test_commands_and_the_health_check_find_the_site(running):
    assert "201" in manage(running.server.environment, "send_test_webhook")
    command = [sys.executable, "manage.py", "check_webhooks"]  # It fails because no watch runs.
    report = subprocess.run(
        command, cwd=PROJECT, env=running.server.environment, capture_output=True, check=False, timeout=60
    )
    assert b"(/ci/log-circleci-webhook)\n" in report.stdout
    environment = {"PATH": os.environ["PATH"], "PORT": str(running.server.port)}
    check = [sys.executable, PROJECT / "docker" / "healthcheck.py"]
    assert subprocess.run(check, env=environment, check=False, timeout=30).returncode == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/ci/healthz", 200),
        ("/ci/readyz", 200),
        ("/ci", 302),
        ("/cix", 404),
        ("/cixadmin/", 404),
        ("/other/admin/", 404),
        ("/ci/ci/admin/", 404),
    ],
)
def test_probes_need_no_path_and_no_path_is_an_error_of_the_server(running, path, status):
    assert fetch(f"http://{HOST}:{running.server.port}{path}").status == status
