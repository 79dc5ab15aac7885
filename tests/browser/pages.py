"""Every page that people see, by the name of its screenshots."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from selenium.webdriver.common.keys import Keys

from tests.browser import runs
from tests.browser.chromium import Browser

MARKUP = quote(runs.MARKUP)
EVENTS, DELIVERIES, CHANNELS = "/admin/logs/workflowevent/", "/admin/logs/delivery/", "/admin/logs/channel/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, and who looks at it."""

    path: str  # With the names of a site's keys in braces.
    user: str | None = "administrator"
    act: Callable[[Browser], None] | None = None  # What is done there first.
    refused: bool = False  # Its answer's status is an error's.
    is_ours: bool = True  # Whether what axe-core finds there is ours to mend.


def turn_over(browser):
    """Go to the second page of a list."""
    browser.click("a[rel=next]")
    browser.wait_for("a[rel=prev]")


def give_reason(browser):
    """Do what a page asks to be confirmed."""
    browser.type("[name=reason]", "The secret was one digit short.")
    browser.click("form.reason button")
    browser.wait_for(".messagelist")


def send_form_without_cookies(browser):
    """Send the login form from a browser that has lost its cookies."""
    browser.command("Network.clearBrowserCookies")
    browser.type("#id_username", "administrator")
    browser.type("#id_password", "a guess", Keys.ENTER)
    browser.wait_for("a.button", "Reload page")


def sign_out(browser):
    """Sign out, which ends the session that later pages would use."""
    browser.click("#logout-form button")
    browser.wait_for("a.button", "Sign in")
    browser.site.sessions.clear()


def make_token(browser):
    """Make a token, which is shown this once."""
    browser.type("#id_name", "Metrics")
    browser.click("[name=_save]")
    browser.wait_for(".messagelist code")


def send_test_message(browser):
    """Send a test message, and wait for its result, which appears by itself."""
    browser.click("button", "Send test message")
    browser.wait_for(".messagelist")
    browser.wait_for("#test-result", "which channels may not reach", seconds=30)


def enter_wrong_settings(browser):
    """Send the form of a channel with a secret that cannot be one."""
    browser.type("#id_name", "ops")
    browser.type("#id_setting_url", "hooks.slack.com")
    browser.click("form.settings button")
    browser.wait_for(".errornote")


# fmt: off
PAGES = {
    "login":                 Page(path="/admin/login/", user=None),
    "signed-out":            Page(path="/admin/", act=sign_out),
    "form-not-accepted":     Page(path="/admin/login/", user=None, act=send_form_without_cookies, refused=True),
    "dashboard-24h":         Page(path="/admin/?period=24h"),
    "dashboard-7d":          Page(path="/admin/?period=7d"),
    "dashboard-viewer":      Page(path="/admin/", user="viewer"),
    "events":                Page(path=EVENTS),
    "events-older":          Page(path=EVENTS, act=turn_over),
    "events-filtered":       Page(path=f"{EVENTS}?project=harbour-web&branch=main&received_after=7d"),
    "events-none":           Page(path=f"{EVENTS}?branch=nobody-has-made-it"),
    "events-refused":        Page(path=f"{EVENTS}?received_after=whenever", refused=True),
    "event-workflow":        Page(path=f"{EVENTS}{{failing_workflow}}/change/"),
    "event-job":             Page(path=f"{EVENTS}{{failing_job}}/change/"),
    "event-canceled":        Page(path=f"{EVENTS}{{canceled}}/change/"),
    "event-unsigned":        Page(path=f"{EVENTS}{{unsigned}}/change/"),
    "event-viewer":          Page(path=f"{EVENTS}{{failing_job}}/change/", user="viewer"),
    "event-unknown":         Page(path=f"{EVENTS}999999/change/"),
    "deliveries":            Page(path=DELIVERIES),
    "deliveries-refused":    Page(path=f"{DELIVERIES}?outcome=unverified,malformed,forbidden,rejected"),
    "delivery-logged":       Page(path=f"{DELIVERIES}{{logged}}/change/"),
    "delivery-unverified":   Page(path=f"{DELIVERIES}{{unverified}}/change/"),
    "delivery-malformed":    Page(path=f"{DELIVERIES}{{malformed}}/change/"),
    "delivery-forbidden":    Page(path=f"{DELIVERIES}{{forbidden}}/change/"),
    "delivery-rejected":     Page(path=f"{DELIVERIES}{{rejected}}/change/"),
    "delivery-replayed":     Page(path=f"{DELIVERIES}replay/?ids={{guessed}}", act=give_reason),
    "delivery-history":      Page(path=f"{DELIVERIES}{{logged}}/history/"),
    "replay":                Page(path=f"{DELIVERIES}replay/?ids={{guessed}},{{forbidden}},{{logged}}"),
    "retention":             Page(path=f"{DELIVERIES}prune/"),
    "retention-applied":     Page(path=f"{DELIVERIES}prune/", act=give_reason),
    "tokens":                Page(path="/admin/logs/apitoken/"),
    "token":                 Page(path="/admin/logs/apitoken/{token}/change/"),
    "token-add":             Page(path="/admin/logs/apitoken/add/"),
    "token-made":            Page(path="/admin/logs/apitoken/add/", act=make_token),
    "token-revoke":          Page(path="/admin/logs/apitoken/{token}/delete/"),
    "channels":              Page(path=CHANNELS),
    "channels-viewer":       Page(path=CHANNELS, user="viewer"),
    "channel":               Page(path=f"{CHANNELS}{{channel}}/change/"),
    "channel-viewer":        Page(path=f"{CHANNELS}{{channel}}/change/", user="viewer"),
    "channel-operator":      Page(path=f"{CHANNELS}{{channel}}/change/", user="operator"),
    "channel-failing":       Page(path=f"{CHANNELS}{{failing_channel}}/change/"),
    "channel-disabled":      Page(path=f"{CHANNELS}{{disabled_channel}}/change/"),
    "channel-muted":         Page(path=f"{CHANNELS}{{muted_channel}}/change/"),
    "channel-new":           Page(path=f"{CHANNELS}{{new_channel}}/change/"),
    "channel-unreadable":    Page(path=f"{CHANNELS}{{unreadable_channel}}/change/"),
    "channel-tested":        Page(path=f"{CHANNELS}{{tried_channel}}/change/", act=send_test_message),
    "channel-history":       Page(path=f"{CHANNELS}{{tried_channel}}/history/"),
    "channel-settings":      Page(path=f"{CHANNELS}{{channel}}/settings/"),
    "channel-kinds":         Page(path=f"{CHANNELS}add/"),
    "channel-add":           Page(path=f"{CHANNELS}add/?kind=slack"),
    "channel-add-refused":   Page(path=f"{CHANNELS}add/?kind=slack", act=enter_wrong_settings),
    "users":                 Page(path="/admin/auth/user/"),
    "user":                  Page(path="/admin/auth/user/{operator}/change/"),
    "user-add":              Page(path="/admin/auth/user/add/"),
    "groups":                Page(path="/admin/auth/group/"),
    "admin-log":             Page(path="/admin/admin/logentry/"),
    "failed-sign-ins":       Page(path="/admin/axes/accessattempt/"),
    "application":           Page(path="/admin/logs/"),
    "password-change":       Page(path="/admin/password_change/"),
    "not-found":             Page(path="/nowhere/", refused=True),
    "not-found-in-admin":    Page(path="/admin/nowhere/", refused=True),
    "forbidden":             Page(path=f"{DELIVERIES}replay/?ids=1", user="viewer", refused=True),
    "api-events":            Page(path="/fetch-webhooks-logs"),
    "api-event":             Page(path="/fetch-webhooks-logs/{failing_job_id}"),
    "api-deliveries":        Page(path="/deliveries"),
    # What Swagger UI draws, none of ours could mend.
    "api-docs":              Page(path="/api/docs", user=None, is_ours=False),
}
# Those that show what a stranger has written, of a site where a stranger has.
HOSTILE_PAGES = {
    "hostile-dashboard":     Page(path="/admin/"),
    "hostile-events":        Page(path=EVENTS),
    "hostile-filter":        Page(path=f"{EVENTS}?project={MARKUP}&branch={MARKUP}&q={MARKUP}&tag={MARKUP}"),
    "hostile-event":         Page(path=f"{EVENTS}{{hostile}}/change/"),
    "hostile-delivery":      Page(path=f"{DELIVERIES}{{hostile_delivery}}/change/"),
    "endless-event":         Page(path=f"{EVENTS}{{endless}}/change/"),
    "endless-delivery":      Page(path=f"{DELIVERIES}{{endless_delivery}}/change/"),
    "hostile-deliveries":    Page(path=DELIVERIES),
    "hostile-forbidden":     Page(path=f"{DELIVERIES}{{forbidden}}/change/"),
    "hostile-rejected":      Page(path=f"{DELIVERIES}{{rejected}}/change/"),
    "hostile-replay":        Page(path=f"{DELIVERIES}replay/?ids={{hostile_delivery}},{{endless_delivery}}"),
    "hostile-channels":      Page(path=CHANNELS),
    "hostile-channel":       Page(path=f"{CHANNELS}{{channel}}/change/"),
    "hostile-settings":      Page(path=f"{CHANNELS}{{channel}}/settings/"),
    "hostile-api-events":    Page(path="/fetch-webhooks-logs"),
}
# fmt: on
