"""The proof that what all other tests watch for would be noticed."""

import logging
import sys

from tests.load.server import Server
from tests.load.wire import HOST
from webhooklog.log_format import LineFormatter


def test_what_the_pages_policy_refuses_is_noticed(browser):
    browser.open("/admin/login/")
    browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">red</p>')")
    errors, foreign = browser.drain()
    assert "Content Security Policy" in errors[0]
    assert foreign == []


def test_an_address_that_is_not_there_is_noticed_unless_it_is_expected(browser):
    browser.open("/nowhere/")
    assert "404" in browser.drain()[0][0]
    browser.open("/nowhere/", refused=True)


def test_a_request_to_another_host_is_noticed_though_it_is_refused(browser):
    address = browser.site.url.replace(HOST, "localhost") + "/static/logs/icon.svg"
    browser.open("/admin/login/")
    browser.evaluate("Object.assign(new Image(), {src: arguments[0]}).decode().catch(() => null)", address)
    errors, foreign = browser.drain()
    assert address in errors[0]
    assert foreign == [address]


def test_a_field_without_a_label_is_noticed(browser):
    browser.open("/admin/login/")
    browser.evaluate("document.querySelector('label').remove()")
    assert any(each.startswith("label: ") for each in browser.violations())


def test_a_traceback_in_the_servers_log_is_noticed(tmp_path):
    server = Server(tmp_path, {})
    try:
        [].pop()
    except IndexError:
        record = logging.LogRecord("django.request", logging.ERROR, "", 0, "a defect", (), sys.exc_info())
    server.log_path.write_text(f"a line\n{LineFormatter().format(record)}\nanother line\n")
    assert server.tracebacks() == ["IndexError: pop from empty list"]
