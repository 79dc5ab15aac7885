"""Messages link to this site, also below a path."""

from threading import Thread

import pytest
from django.urls import get_script_prefix, set_script_prefix

from logs.models.notifications import Notification, NotificationKind
from logs.notifications.composing import compose


def links():
    return compose(Notification(kind=NotificationKind.TEST)).links


@pytest.fixture
def below_a_path(settings):
    """A site below /ci, as Django sets it up in the main thread."""
    prefix = get_script_prefix()
    settings.SITE_URL = "https://example.com/ci"
    set_script_prefix("/ci/")
    yield
    set_script_prefix(prefix)


def test_a_message_of_a_site_without_a_url_has_no_links(settings):
    settings.SITE_URL = ""
    assert links() == []


def test_a_link_has_the_path_prefix_once_in_the_main_thread_and_in_senders(below_a_path):
    found = [links()]
    sender = Thread(target=lambda: found.append(links()))
    sender.start()
    sender.join()
    assert found == [[("Open webhooklog", "https://example.com/ci/admin/")]] * 2
