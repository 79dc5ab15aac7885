"""Fixtures of the tests of send_test_webhook: the server that it sends to, and the command itself."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

PATH = "/log-circleci-webhook"
CREATED = json.dumps({"message": "Webhook Event successfully logged", "outcome": "logged"})


@pytest.fixture
def receiver(httpserver):
    """A server that accepts every webhook."""
    httpserver.expect_request(PATH, method="POST").respond_with_data(CREATED, 201, content_type="application/json")
    return httpserver


@pytest.fixture
def send(httpserver):
    """Run the command towards the server and return the lines that it writes."""

    def run(*arguments, url=None):
        out = StringIO()
        call_command("send_test_webhook", url or httpserver.url_for(PATH), *arguments, stdout=out)
        return out.getvalue().splitlines()

    return run
