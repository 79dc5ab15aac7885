"""Take the README's pictures anew: ``python -m tests.browser.pictures``."""

import tempfile
from contextlib import closing
from pathlib import Path

from tests.browser.chromium import Browser
from tests.browser.site import running_site
from tests.load.engines import SQLiteEngine
from tests.load.server import PROJECT
from tests.load.stage import site_environment

FOLDER = PROJECT / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 860

# What each shows, and in which colours.
PICTURES = {
    "dashboard": ("/admin/?period=7d", "light"),
    "events": ("/admin/logs/workflowevent/", "dark"),
    "event": ("/admin/logs/workflowevent/{failing_job}/change/", "light"),
}


def main():
    """Run a site with two weeks of history, and look at it."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="webhooklog-pictures-") as name:
        folder = Path(name)
        engine = SQLiteEngine(folder, site_environment(folder))
        with running_site(engine) as site, closing(Browser(folder)) as browser:
            site.write_history()
            site.send_events()
            site.send_refused()
            site.manage("rollup")
            site.wait_until_judged("failing_workflow")
            take_pictures(browser, site)


def take_pictures(browser, site):
    """Write each picture, as much as a screen shows."""
    browser.look_at(site)
    browser.command("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False)
    browser.command("Emulation.setScrollbarsHidden", hidden=True)
    for name, (path, colours) in PICTURES.items():
        browser.prefer(color_scheme=colours, reduced_motion="reduce")
        browser.sign_in("administrator", path.format(**site.keys))
        browser.driver.save_screenshot(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
