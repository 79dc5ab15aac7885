"""Every page, in light, in dark, and on a phone: readable for everybody, and silent in the console."""

import pytest

from tests.browser.looks import assert_is_for_everybody
from tests.browser.pages import PAGES


@pytest.mark.parametrize("name", PAGES)
def test_is_for_everybody(browser, name, screenshots):
    assert_is_for_everybody(browser, PAGES[name], name, screenshots)
