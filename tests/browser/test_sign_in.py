"""Who signs in, and what a wrong password says."""

from selenium.webdriver.common.keys import Keys


def test_signs_in_and_out(browser):
    browser.open("/admin/logs/workflowevent/")
    browser.type("#id_username", "administrator")
    browser.type("#id_password", browser.site.password, Keys.ENTER)
    browser.wait_for("#rows tr")
    assert browser.path == "/admin/logs/workflowevent/"
    browser.click("#logout-form button")
    browser.wait(lambda: "Signed out" in browser.text, "signed out")


def test_tells_why_a_wrong_password_is_refused(browser):
    browser.open("/admin/login/")
    browser.type("#id_username", "administrator")
    browser.type("#id_password", "a guess", Keys.ENTER)
    assert "Wrong username or password" in browser.wait_for(".errornote").text
