"""Drive Debian's Chromium, and keep account of its errors and of the hosts that it asks."""

import base64
import json
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from selenium_axe_python import Axe

CHROMIUM, CHROMEDRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--lang=en-US",
    # A machine without a screen has no mouse either, unless it is told so.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
)
WAIT_SECONDS = 10
PHONE_WIDTH = 390
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
NO_HOST = ("data", "blob", "about")  # Addresses that nobody is asked for.


class Browser:
    """A Chromium of its own, with a profile of its own."""

    def __init__(self, folder):
        self.site = None  # The one it looks at.
        self.driver = start(folder / "profile")
        self._refused = set()  # Addresses that were meant to be answered with an error.

    def close(self):
        """End the browser's processes."""
        self.driver.quit()

    def look_at(self, site):
        """Be as a new browser, without cookies, storage, emulation, and logs, before a site."""
        self.site = site
        # What a tab emulates ends with it.
        last = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        new = self.driver.current_window_handle
        self.driver.switch_to.window(last)
        self.driver.close()
        self.driver.switch_to.window(new)
        self.command("Network.clearBrowserCookies")
        self.command("Storage.clearDataForOrigin", origin=site.url, storageTypes="all")
        self._refused.clear()
        self.drain()

    def command(self, name, /, **parameters):
        """Give a command of Chromium's DevTools protocol, and return its answer."""
        return self.driver.execute_cdp_cmd(name, parameters)

    # What people do.

    def open(self, path, *, refused=False):
        """Go to an address of the site's; `refused` says that the answer will be an error."""
        address = self.site.url + path
        if refused:
            self._refused.add(address)
        self.driver.get(address)

    def sign_in(self, name, path="/admin/", *, refused=False):
        """Sign in, the first time by the form and later by that session's cookie, and go to an address."""
        self.command("Network.clearBrowserCookies")
        if name not in self.site.sessions:
            self.open("/admin/login/?next=/admin/password_change/")
            self.type("#id_username", name)
            self.type("#id_password", self.site.password, Keys.ENTER)
            self.wait_for("#logout-form")
            self.site.sessions[name] = self.driver.get_cookie("sessionid")["value"]
        self.command("Network.setCookie", url=self.site.url, name="sessionid", value=self.site.sessions[name])
        self.open(path, refused=refused)

    def click(self, selector, text=""):
        """Click the first element that a selector finds and that holds a text."""
        self.wait_for(selector, text).click()

    def type(self, selector, *words):
        """Type into a field, in place of what it holds."""
        field = self.wait_for(selector)
        field.clear()
        field.send_keys(*words)

    def press(self, *keys):
        """Press keys, wherever the focus is."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    # What people see.

    @property
    def path(self):
        """The address without the host."""
        parts = urlsplit(self.driver.current_url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    @property
    def text(self):
        """What the page says."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def all(self, selector):
        """Return all elements that a selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector, text=""):
        """Return the first displayed element that a selector finds and that holds a text; None without any."""
        found = (each for each in self.all(selector) if text in each.text and each.is_displayed())
        return next(found, None)

    def wait_for(self, selector, text="", seconds=WAIT_SECONDS):
        """Wait for a displayed element."""
        return self.wait(lambda: self.find(selector, text), f"{selector} {text}", seconds)

    def wait(self, condition, what, seconds=WAIT_SECONDS):
        """Wait until a condition holds, and return what makes it hold."""

        def check(_):
            try:
                return condition()
            except WebDriverException as error:
                if not is_of_replaced_page(error):
                    raise
                return None

        return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(check, f"{what} on {self.path}")

    def evaluate(self, script, *arguments):
        """Return what a script returns on this page."""
        return self.driver.execute_script(f"return {script}", *arguments)

    # How it looks.

    def prefer(self, **features):
        """Set what media queries ask for: `prefer(color_scheme="dark")`."""
        named = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=named)

    def be_a_phone(self, width=PHONE_WIDTH, height=844):
        """Have a phone's screen."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=True)
        self.command("Emulation.setTouchEmulationEnabled", enabled=True)

    def save_screenshot(self, path):
        """Write an image of the whole page."""
        answer = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    # What is wrong.

    def violations(self, rules=None):
        """Return what axe-core finds wrong for people who see, hear or move differently, by these rules or all."""
        axe = Axe(self.driver)
        axe.inject()
        # Without "preload": it writes styles into the page, which the page's policy refuses with an error.
        options = {"runOnly": rules or AXE_TAGS, "resultTypes": ["violations"], "preload": False}
        results = axe.run(options=json.dumps(options))
        return [
            f"{rule['id']}: {' '.join(map(str, node['target']))}\n  {node['html'][:200]}\n  {node['failureSummary']}"
            for rule in results["violations"]
            for node in rule["nodes"]
        ]

    def drain(self):
        """Return the errors in the console and the addresses of other hosts that were asked, since the last time."""
        errors = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }
        expected = tuple(f"{address} - Failed to load resource" for address in self._refused)
        return (
            [error for error in errors if not error.startswith(expected or ("\0",))],
            sorted(address for address in asked if self._is_foreign(address)),
        )

    def _is_foreign(self, address):
        return not address.startswith(self.site.url + "/") and urlsplit(address).scheme not in NO_HOST

    def download(self, selector, text=""):
        """Click a link to a file, and return the file's text."""
        with tempfile.TemporaryDirectory(prefix="webhooklog-downloads-") as folder:
            self.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder)
            self.click(selector, text)
            path = self.wait(lambda: next(Path(folder).glob("*[!d]"), None), "a downloaded file")
            return path.read_text(encoding="utf-8")


def is_of_replaced_page(error):
    """Return whether the error means that an element has gone, because another page has replaced its page."""
    # If that happens during a command, ChromeDriver passes on Chromium's own message.
    return isinstance(error, StaleElementReferenceException) or "does not belong to the document" in str(error)


def start(profile):
    """Return a driver of a new Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With its path given, selenium looks for no driver, and downloads none.
    return webdriver.Chrome(options=options, service=Service(executable_path=str(CHROMEDRIVER)))
