"""One site and one Chromium for all tests; after each test, the proof that nothing went wrong unseen."""

import signal
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.browser.chromium import CHROMEDRIVER, CHROMIUM, Browser
from tests.browser.site import running_site
from tests.load.engines import ENGINES
from tests.load.server import PROJECT
from tests.load.stage import site_environment


def pytest_addoption(parser):
    parser.addoption("--screenshots", default=PROJECT / "var" / "screenshots", type=Path, help="where images are put")


def pytest_sessionstart(session):
    # Otherwise a SIGTERM would leave servers and browsers behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    missing = [str(path) for path in (CHROMIUM, CHROMEDRIVER) if not path.exists()]
    if missing:
        raise pytest.UsageError(f"missing: {', '.join(missing)}; apt-get install chromium chromium-driver")


@pytest.fixture(scope="session")
def engine(pytestconfig):
    """The databases of this run's sites."""
    with tempfile.TemporaryDirectory(prefix="webhooklog-browser-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with closing(ENGINES[pytestconfig.getoption("database")](folder, site_environment(folder))) as engine:
            yield engine


@pytest.fixture(scope="session")
def site(engine):
    """The site that most tests look at; whoever changes more than they add needs one of their own."""
    with running_site(engine) as site:
        site.write_history()
        site.send_events()
        site.send_refused()
        site.act()
        site.manage("rollup")
        site.wait_until_judged("failing_workflow")
        site.make_token()
        site.make_channels()
        site.make_sources()
        site.wait_until_flaky()
        yield site
        assert site.server.tracebacks() == []


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """The browser of most tests."""
    with closing(Browser(tmp_path_factory.mktemp("chromium"))) as browser:
        yield browser


@pytest.fixture
def browser(chromium, site):
    """A browser that nobody has signed in with; its console stays without errors, and it asks no other host."""
    chromium.look_at(site)
    yield chromium
    assert chromium.drain() == ([], [])


@pytest.fixture
def other_browser(site, tmp_path):
    """Somebody else's browser."""
    with closing(Browser(tmp_path)) as browser:
        browser.look_at(site)
        yield browser
        assert browser.drain() == ([], [])


@pytest.fixture(scope="session")
def screenshots(pytestconfig):
    """Where images are put."""
    folder = pytestconfig.getoption("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
