"""A page of another origin uses the password that a browser has cached for this site, and changes nothing."""

import pytest

FETCH = """<script>
fetch("{target}", {{method: "POST", mode: "no-cors", credentials: "include"}}).finally(() => document.title = "sent")
</script>"""
# Otherwise Chromium asks the other host for an icon, at any time.
NO_ICON = '<link rel="icon" href="data:,">'
FORM = """<form method="post" action="{target}"><button>Win a prize</button></form>"""


@pytest.fixture
def victim(site, other_browser):
    """A browser that has the operator's password in its cache."""
    other_browser.driver.get(site.url.replace("://", f"://operator:{site.password}@") + "/deliveries?limit=1")
    other_browser.open("/deliveries?limit=1")
    assert '"outcome"' in other_browser.text
    yield other_browser
    other_browser.drain()  # What was refused, and the other host, were meant.


@pytest.fixture
def count_replays(site):
    return lambda: site.database.query("SELECT count(*) FROM logs_attempt")


# Chromium adds no cached password to a fetch across sites, but it does across ports, and to a form anywhere.
@pytest.mark.parametrize(
    ("page", "host"),
    [(FETCH, "127.0.0.1"), (FORM, "127.0.0.1"), (FORM, "localhost")],
    ids=["a fetch from another port", "a form from another port", "a form from another site"],
)
def test_a_foreign_page_replays_nothing(victim, site, httpserver, count_replays, page, host):
    before = count_replays()
    target = f"{site.url}/deliveries/{site.keys['logged']}/replay"
    httpserver.expect_request("/").respond_with_data(NO_ICON + page.format(target=target), content_type="text/html")
    victim.driver.get(f"http://{host}:{httpserver.port}/")
    if page == FETCH:
        victim.wait(lambda: victim.driver.title == "sent", "the answer")
    else:
        victim.click("button")
        victim.wait(lambda: '"code"' in victim.text or '"outcome"' in victim.text, "the answer")
    assert count_replays() == before


def test_an_own_page_may_replay(victim, site):
    target = f"/deliveries/{site.keys['logged']}/replay?dry_run=true"
    fetching = "fetch(arguments[0], {method: 'POST'}).then((answer) => arguments[1](answer.status))"
    assert victim.driver.execute_async_script(fetching, target) == 200
