"""Every page that people see, by the name of its screenshots."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from selenium.webdriver.common.keys import Keys

from tests.browser import runs
from tests.browser.chromium import Browser

MARKUP, REVERSED = quote(runs.MARKUP), quote(runs.RIGHT_TO_LEFT)
EVENTS, DELIVERIES, CHANNELS = "/admin/logs/workflowevent/", "/admin/logs/delivery/", "/admin/logs/channel/"
PIPELINES, SOURCES, FIND = "/admin/pipelines/", "/admin/logs/source/", "/admin/find/"
INSIGHTS = "/admin/insights/"
WORKFLOW = f"{INSIGHTS}workflow/?project={runs.FAILING_PROJECT}&workflow={runs.FAILING_WORKFLOW}"
RULES, NOTIFICATIONS = "/admin/logs/rule/", "/admin/logs/notification/"


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


def unfold(browser):
    """Unfold the first pipelines of the list."""
    for summary in browser.all("#rows summary")[:2]:
        summary.click()


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


def make_feed(browser):
    """Make a feed, whose URLs are shown this once."""
    browser.type("#id_name", "Press")
    browser.click("button", "Create feed")
    browser.wait_for("#badge-url")


def make_token(browser):
    """Make a token, which is shown this once."""
    browser.type("#id_name", "Metrics")
    browser.click("button", "Create API token")
    browser.wait_for("#token-key")
    browser.click("button", "Copy API token")
    browser.wait_for("button", "Copied")


def enter_wrong_token(browser):
    """Ask for a token without a name that may replay."""
    browser.click("[name=scopes][value=replay]")
    browser.click("button", "Create API token")
    browser.wait_for(".errornote")


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


def try_secret(browser):
    """Try a secret that did not sign the delivery."""
    browser.type("[name=secret]", "of another project")
    browser.click("form.settings button")
    browser.wait_for(".messagelist", "No match")


def mute_without_date(browser):
    """Ask to mute until a date, and name none."""
    browser.click("#id_until_2")
    browser.click("form.mute button")
    browser.wait_for(".errorlist")


def try_rule(browser):
    """Try a rule before it is saved."""
    browser.click("button", "Try on the last 7 days")
    browser.wait_for(".trial", "It would have sent")


def report_each_run(browser):
    """Select another subject, which shows other fields."""
    browser.click("[name=subject][value=runs]")
    browser.wait_for(".field-statuses")
    assert browser.find(".field-on_broke") is None


def enter_wrong_rule(browser):
    """Send the form of a rule that reports nothing."""
    browser.click("[name=on_broke]")
    browser.click("[name=on_fixed]")
    browser.type("[name=branches]", "main !dev")
    browser.click("button", "Add rule")
    browser.wait_for(".errornote")


# fmt: off
PAGES = {
    "login":                 Page(path="/admin/login/", user=None),
    "signed-out":            Page(path="/admin/", act=sign_out),
    "form-not-accepted":     Page(path="/admin/login/", user=None, act=send_form_without_cookies, refused=True),
    "dashboard-24h":         Page(path="/admin/?period=24h"),
    "dashboard-7d":          Page(path="/admin/?period=7d"),
    "dashboard-viewer":      Page(path="/admin/", user="viewer"),
    "dashboard-project":     Page(path="/admin/?project=harbour-web"),
    "dashboard-no-project":  Page(path="/admin/?project=harbor", refused=True),
    "wall":                  Page(path="/admin/?wall"),
    "pipelines":             Page(path=PIPELINES, act=unfold),
    "pipelines-filtered":    Page(path=f"{PIPELINES}?status=failed&received_after=7d"),
    "pipeline":              Page(path=f"{PIPELINES}{{rerun}}/"),
    "pipeline-failed":       Page(path=f"{PIPELINES}{{failing_job}}/", user="viewer"),
    "find":                  Page(path=FIND),
    "find-arrived":          Page(path=f"{FIND}?q=HARBOUR-web"),
    "find-refused":          Page(path=f"{FIND}?q=something+else"),
    "find-never":            Page(path=f"{FIND}?q=999999"),
    "find-viewer":           Page(path=f"{FIND}?q=%23999999", user="viewer"),
    "events":                Page(path=EVENTS),
    "events-older":          Page(path=EVENTS, act=turn_over),
    "events-filtered":       Page(path=f"{EVENTS}?project=harbour-web&branch=main&received_after=7d"),
    "events-none":           Page(path=f"{EVENTS}?branch=nobody-has-made-it"),
    "events-refused":        Page(path=f"{EVENTS}?received_after=whenever", refused=True),
    "event-workflow":        Page(path=f"{EVENTS}{{failing_workflow}}/change/"),
    "event-job":             Page(path=f"{EVENTS}{{failing_job}}/change/?list=status%3Dfailed%26branch%3Dmain"),
    "event-canceled":        Page(path=f"{EVENTS}{{canceled}}/change/"),
    "event-unsigned":        Page(path=f"{EVENTS}{{unsigned}}/change/"),
    "event-flaky":           Page(path=f"{EVENTS}{{flaky}}/change/"),
    "event-viewer":          Page(path=f"{EVENTS}{{failing_job}}/change/", user="viewer"),
    "event-unknown":         Page(path=f"{EVENTS}999999/change/"),
    "flaky":                 Page(path="/admin/flaky/"),
    "flaky-none":            Page(path="/admin/flaky/?project=nothing"),
    "insights":              Page(path=f"{INSIGHTS}?ordering=-p95_seconds"),
    "insights-filtered":     Page(path=f"{INSIGHTS}?project=harbour-web&window=7d&default_branch=true", user="viewer"),
    "insights-none":         Page(path=f"{INSIGHTS}?project=harbor"),
    "insights-refused":      Page(path=f"{INSIGHTS}?window=1y", refused=True),
    "workflow":              Page(path=f"{WORKFLOW}&window=7d"),
    "workflow-quarter":      Page(path=f"{WORKFLOW}&window=90d", user="viewer"),
    "workflow-branch":       Page(path=f"{WORKFLOW}&branch=main"),
    "workflow-missing":      Page(path=f"{INSIGHTS}workflow/?project=harbour-web&workflow=nothing", refused=True),
    "workflow-refused":      Page(path=f"{INSIGHTS}workflow/?project=harbour-web", refused=True),
    "project":               Page(path="/admin/projects/{project}/"),
    "project-viewer":        Page(path="/admin/projects/{project}/", user="viewer"),
    "project-missing":       Page(path="/admin/projects/github/acme/nothing/", refused=True),
    "deliveries":            Page(path=DELIVERIES),
    "deliveries-refused":    Page(path=f"{DELIVERIES}?outcome=unverified,malformed,forbidden,rejected"),
    "delivery-logged":       Page(path=f"{DELIVERIES}{{logged}}/change/"),
    "delivery-unverified":   Page(path=f"{DELIVERIES}{{unverified}}/change/?list=verified%3Dfalse"),
    "delivery-malformed":    Page(path=f"{DELIVERIES}{{malformed}}/change/"),
    "delivery-forbidden":    Page(path=f"{DELIVERIES}{{forbidden}}/change/"),
    "delivery-rejected":     Page(path=f"{DELIVERIES}{{rejected}}/change/"),
    "delivery-replayed":     Page(path=f"{DELIVERIES}replay/?ids={{logged}}", act=give_reason),
    "delivery-history":      Page(path=f"{DELIVERIES}{{logged}}/history/"),
    "secret":                Page(path=f"{DELIVERIES}{{guessed}}/try-secret/"),
    "secret-tried":          Page(path=f"{DELIVERIES}{{guessed}}/try-secret/", act=try_secret),
    "delivery-guessed":      Page(path=f"{DELIVERIES}{{guessed}}/change/"),
    "sources":               Page(path=SOURCES),
    "sources-viewer":        Page(path=SOURCES, user="viewer"),
    "sources-filtered":      Page(path=f"{SOURCES}?project=orchard"),
    "source-mute":           Page(path=f"{SOURCES}mute/?target={{source}}"),
    "source-mute-refused":   Page(path=f"{SOURCES}mute/?target=all", act=mute_without_date),
    "replay":                Page(path=f"{DELIVERIES}replay/?ids={{guessed}},{{forbidden}},{{logged}}"),
    "replay-unchanged":      Page(path=f"{DELIVERIES}replay/?ids={{guessed}},{{forbidden}}"),
    "replay-matching":       Page(path=f"{DELIVERIES}replay/matching/?verified=false"),
    "replay-matching-wrong": Page(path=f"{DELIVERIES}replay/matching/?outcome=bored", refused=True),
    "delivery-mistyped":     Page(path=f"{DELIVERIES}{{mistyped}}/change/"),
    "retention":             Page(path=f"{DELIVERIES}prune/"),
    "retention-applied":     Page(path=f"{DELIVERIES}prune/", act=give_reason),
    "tokens":                Page(path="/admin/logs/apitoken/"),
    "token":                 Page(path="/admin/logs/apitoken/{token}/change/"),
    "token-add":             Page(path="/admin/logs/apitoken/add/"),
    "token-made":            Page(path="/admin/logs/apitoken/add/", act=make_token),
    "token-refused":         Page(path="/admin/logs/apitoken/add/", user="operator", act=enter_wrong_token),
    "token-revoke":          Page(path="/admin/logs/apitoken/{token}/delete/"),
    "feeds":                 Page(path="/admin/logs/feed/"),
    "feed-add":              Page(path="/admin/logs/feed/add/"),
    "feed-made":             Page(path="/admin/logs/feed/add/", act=make_feed),
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
    "channel-unknown":       Page(path=f"{CHANNELS}{{unknown_channel}}/change/"),
    "channel-tested":        Page(path=f"{CHANNELS}{{tried_channel}}/change/", act=send_test_message),
    "channel-history":       Page(path=f"{CHANNELS}{{tried_channel}}/history/"),
    "channel-settings":      Page(path=f"{CHANNELS}{{channel}}/settings/"),
    "channel-kinds":         Page(path=f"{CHANNELS}add/"),
    "channel-add":           Page(path=f"{CHANNELS}add/?kind=slack"),
    "channel-add-refused":   Page(path=f"{CHANNELS}add/?kind=slack", act=enter_wrong_settings),
    "channel-add-telegram":  Page(path=f"{CHANNELS}add/?kind=telegram"),
    "rules":                 Page(path=RULES),
    "rules-viewer":          Page(path=RULES, user="viewer"),
    "rule":                  Page(path=f"{RULES}{{rule}}/change/"),
    "rule-viewer":           Page(path=f"{RULES}{{rule}}/change/", user="viewer"),
    "rule-disabled":         Page(path=f"{RULES}{{disabled_rule}}/change/"),
    "rule-history":          Page(path=f"{RULES}{{rule}}/history/"),
    "rule-settings":         Page(path=f"{RULES}{{rule}}/settings/"),
    "rule-tried":            Page(path=f"{RULES}{{rule}}/settings/", act=try_rule),
    "rule-settings-log":     Page(path=f"{RULES}{{log_rule}}/settings/"),
    "rule-add":              Page(path=f"{RULES}add/"),
    "rule-add-default":      Page(path=f"{RULES}add/?default=1"),
    "rule-add-log":          Page(path=f"{RULES}add/?log=1"),
    "rule-add-runs":         Page(path=f"{RULES}add/", act=report_each_run),
    "rule-add-refused":      Page(path=f"{RULES}add/?default=1", act=enter_wrong_rule),
    "rule-delete":           Page(path=f"{RULES}{{rule}}/delete/"),
    "notifications":         Page(path=NOTIFICATIONS),
    "notifications-none":    Page(path=f"{NOTIFICATIONS}?state=failed&kind=run"),
    "notifications-refused": Page(path=f"{NOTIFICATIONS}?state=bored", refused=True),
    "notification-failed":   Page(path=f"{NOTIFICATIONS}{{failed_notification}}/change/"),
    "notification-digest":   Page(path=f"{NOTIFICATIONS}{{digest}}/change/"),
    "notification-twice":    Page(path=f"{NOTIFICATIONS}{{repeated_notification}}/change/"),
    "notification-waiting":  Page(path=f"{NOTIFICATIONS}{{waiting_notification}}/change/"),
    "notification-viewer":   Page(path=f"{NOTIFICATIONS}{{digest}}/change/", user="viewer"),
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
    "hostile-wall":          Page(path=f"/admin/?wall&project={MARKUP}"),
    "hostile-pipelines":     Page(path=PIPELINES, act=unfold),
    "hostile-pipeline":      Page(path=f"{PIPELINES}{{hostile}}/"),
    "endless-pipeline":      Page(path=f"{PIPELINES}{{endless}}/"),
    "hostile-find":          Page(path=f"{FIND}?q={MARKUP}"),
    "hostile-events":        Page(path=EVENTS),
    "hostile-filter":        Page(path=f"{EVENTS}?project={MARKUP}&branch={MARKUP}&q={MARKUP}&tag={MARKUP}"),
    "hostile-event":         Page(path=f"{EVENTS}{{hostile}}/change/?list={quote(f'branch={MARKUP}')}"),
    "hostile-flaky":         Page(path="/admin/flaky/"),
    "hostile-insights":      Page(path=INSIGHTS),
    "hostile-workflow":      Page(path=f"{INSIGHTS}workflow/?project=github/acme/{MARKUP}&workflow={MARKUP}"),
    "hostile-branch":        Page(path=f"{INSIGHTS}workflow/?project={MARKUP}&workflow={MARKUP}&branch={REVERSED}"),
    "hostile-missing":       Page(path=f"{INSIGHTS}workflow/?project={MARKUP}&workflow=x{MARKUP}", refused=True),
    "hostile-project":       Page(path="/admin/projects/{project}/"),
    "hostile-delivery":      Page(path=f"{DELIVERIES}{{hostile_delivery}}/change/"),
    "endless-event":         Page(path=f"{EVENTS}{{endless}}/change/"),
    "endless-delivery":      Page(path=f"{DELIVERIES}{{endless_delivery}}/change/"),
    "hostile-deliveries":    Page(path=DELIVERIES),
    "hostile-forbidden":     Page(path=f"{DELIVERIES}{{forbidden}}/change/"),
    "hostile-rejected":      Page(path=f"{DELIVERIES}{{rejected}}/change/"),
    "hostile-matching":      Page(path=f"{DELIVERIES}replay/matching/?address={MARKUP}&outcome=unverified"),
    "hostile-replay":        Page(path=f"{DELIVERIES}replay/?ids={{hostile_delivery}},{{endless_delivery}}"),
    "hostile-channels":      Page(path=CHANNELS),
    "hostile-channel":       Page(path=f"{CHANNELS}{{channel}}/change/"),
    "hostile-settings":      Page(path=f"{CHANNELS}{{channel}}/settings/"),
    "hostile-sources":       Page(path=SOURCES),
    "hostile-mute":          Page(path=f"{SOURCES}mute/?target={{source}}"),
    "hostile-rules":         Page(path=RULES),
    "hostile-rule":          Page(path=f"{RULES}{{rule}}/change/"),
    "hostile-rule-settings": Page(path=f"{RULES}{{rule}}/settings/"),
    "hostile-notifications": Page(path=NOTIFICATIONS),
    "hostile-notification":  Page(path=f"{NOTIFICATIONS}{{failed_notification}}/change/"),
    "hostile-digest":        Page(path=f"{NOTIFICATIONS}{{digest}}/change/"),
    "hostile-api-events":    Page(path="/fetch-webhooks-logs"),
}
# fmt: on
