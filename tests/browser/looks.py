"""How pages may look, and what must hold however they do."""

from tests.browser.chromium import PHONE_WIDTH

# Without motion, or colours would be measured while they change.
# fmt: off
LOOKS = {
    "light":      lambda browser: browser.prefer(color_scheme="light", reduced_motion="reduce"),
    "dark":       lambda browser: browser.prefer(color_scheme="dark", reduced_motion="reduce"),
    "phone":      lambda browser: (browser.prefer(color_scheme="light", reduced_motion="reduce"), browser.be_a_phone()),
    "dark-phone": lambda browser: browser.prefer(color_scheme="dark", reduced_motion="reduce"),
}
# fmt: on
# axe-core takes longer than all else. A look with the colours of one and the layout of another is not checked again.
CHECKED = {"light": None, "dark": ["color-contrast"], "dark-phone": None}


def assert_is_for_everybody(browser, page, name, screenshots):
    """Open a page, keep how it looks, and let axe-core find nothing; a phone need not scroll to the right."""
    path = page.path.format(**browser.site.keys)
    if page.user:
        browser.sign_in(page.user, path, refused=page.refused)
    else:
        browser.open(path, refused=page.refused)
    if page.act:
        page.act(browser)
    assert_looks_good(browser, name, screenshots, is_ours=page.is_ours)


def assert_looks_good(browser, name, screenshots, *, is_ours=True):
    """Keep how the open page looks, and let axe-core find nothing; a phone need not scroll to the right."""
    problems = []
    for look, apply in LOOKS.items():
        apply(browser)
        browser.save_screenshot(screenshots / f"{name}-{look}.png")
        if is_ours and look in CHECKED:
            problems += [f"{look}: {violation}" for violation in browser.violations(CHECKED[look])]
    width = browser.evaluate("document.documentElement.scrollWidth")
    if width > PHONE_WIDTH:
        problems.append(f"phone: the page is {width} pixels wide")
    assert not problems, "\n".join(problems)
