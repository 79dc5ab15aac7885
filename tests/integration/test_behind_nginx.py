"""The nginx sample of docs/operations.md, run as it is in front of a real site, on a port that is not HTTPS's own."""

import json
import random
import re
import socket
import ssl
from contextlib import ExitStack
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPSHandler, Request, build_opener

import pytest

from logs.circleci import samples
from tests.integration.live import live_site
from tests.load import exports, nginx
from tests.load.engines import manage
from tests.load.senders import SECRET
from tests.load.wire import HOST, RECEIVING_PATH, free_port

pytestmark = pytest.mark.skipif(nginx.executable() is None, reason="nginx is not installed (apt-get install nginx)")

ROWS = 5_000
SETTINGS = {"HTTPS_ONLY": "true", "TRUSTED_PROXIES": HOST, "ALLOWED_HOSTS": HOST, "API_REQUESTS_PER_MINUTE": "0"}
PASSWORD = "a-password-of-these-tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site as clients see it through nginx."""

    url: str
    token: str
    context: Any  # Trusts nginx's certificate.

    def client(self):
        """Return a client that keeps cookies."""
        return build_opener(HTTPCookieProcessor(CookieJar()), HTTPSHandler(context=self.context))

    def read(self, url):
        """Return an answer to the token."""
        with self.client().open(Request(url, headers={"Authorization": f"Bearer {self.token}"}), timeout=30) as answer:
            return answer, answer.read()


def port_of_the_docs():
    """Return 8443, or any free port where that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, 8443))
        except OSError:
            return free_port()
    return 8443


@pytest.fixture(scope="module")
def site(pytestconfig):
    with ExitStack() as stack:
        _, running = stack.enter_context(live_site(pytestconfig.getoption("database"), **SETTINGS))
        exports.fill(running, ROWS, random.Random(1))
        token = exports.token_of(running)
        account = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        options = ["--noinput", "--username=admin", "--email=admin@acme.example"]
        manage(running.server.environment | account, "createsuperuser", *options)
        folder = running.folder / "nginx"
        sample, upstream = nginx.documented(), running.server.port
        port = stack.enter_context(nginx.nginx(folder, upstream, sample, port=port_of_the_docs(), tls=True))
        context = ssl.create_default_context(cafile=folder / "cert.pem")
        yield Site(url=f"https://{HOST}:{port}", token=token, context=context)


def test_next_links_have_the_scheme_and_the_port_and_lead_on(site):
    answer, body = site.read(f"{site.url}/fetch-webhooks-logs?limit=2")
    (following,) = re.findall(r'<([^>]*)>; rel="next"', answer.headers["Link"])
    assert following.startswith(f"{site.url}/fetch-webhooks-logs?")
    _, next_body = site.read(following)
    ids = [event["id"] for event in json.loads(body) + json.loads(next_body)]
    assert len(set(ids)) == 4


def test_a_browser_can_sign_in_and_out(site):
    client = site.client()
    page = client.open(f"{site.url}/", timeout=30)
    assert page.url == f"{site.url}/admin/login/?next=/admin/"
    # As a browser does, which names the page's origin in each POST.
    client.addheaders = [("Origin", site.url), ("Referer", page.url)]

    def post(url, page, **fields):
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page).group(1)
        return client.open(url, urlencode({"csrfmiddlewaretoken": token} | fields).encode(), timeout=30)

    inside = post(page.url, page.read().decode(), username="admin", password=PASSWORD)
    assert inside.url == f"{site.url}/admin/"
    assert "Signed out" in post(f"{site.url}/admin/logout/", inside.read().decode()).read().decode()


@pytest.mark.parametrize("form", exports.FORMATS)
def test_an_export_is_complete(site, form):
    answer, body = site.read(f"{site.url}/fetch-webhooks-logs?format={form}")
    received = exports.Export(status=answer.status, looks_complete=True, body=body, form=form)
    # Another test may have logged an event.
    assert {f"event-{number}" for number in range(ROWS)} <= set(received.ids())


def test_a_delivery_is_logged_with_the_address_of_its_client(site):
    document = samples.workflow_completed(random=random.Random(7))
    body = samples.encode(document)
    request = Request(f"{site.url}{RECEIVING_PATH}", body, samples.headers(body, document, SECRET))
    with site.client().open(request, timeout=30) as answer:
        assert answer.status == 201
    (delivery,) = json.loads(site.read(f"{site.url}/deliveries?event={document['id']}")[1])
    assert delivery["client_address"] == HOST


def test_a_host_that_is_not_allowed_is_refused(site):
    request = Request(f"{site.url}/fetch-webhooks-logs", headers={"Host": "elsewhere.example.org"})
    with pytest.raises(HTTPError, match="400"):
        site.client().open(request, timeout=30)
