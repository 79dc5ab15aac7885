"""Webhooks that need a thread wait for one no longer than CircleCI allows."""

import asyncio
from threading import Event as Flag

import pytest
from django.db import OperationalError

from logs.ingest import threads
from logs.models import Delivery


def test_a_call_that_has_waited_too_long_for_a_thread_is_not_made(monkeypatch):
    monkeypatch.setattr(threads, "PATIENCE_SECONDS", 0)
    go_on, calls = Flag(), []

    async def use_all_threads_and_one_more():
        busy = [asyncio.create_task(threads.refused.run(go_on.wait, 10)) for _ in range(threads.refused.number)]
        await asyncio.sleep(0.05)
        late = asyncio.create_task(threads.refused.run(calls.append, "late"))
        await asyncio.sleep(0.05)
        go_on.set()
        await asyncio.gather(*busy, return_exceptions=True)
        with pytest.raises(OperationalError, match="have used all threads for 0 seconds"):
            await late

    asyncio.run(use_all_threads_and_one_more())
    assert calls == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("secret", ["another", None])
def test_a_delivery_that_finds_no_thread_gets_503_and_is_not_stored(
    deliver_on_loop, workflow_document, monkeypatch, secret
):
    monkeypatch.setattr(threads, "PATIENCE_SECONDS", -1)
    answer = deliver_on_loop(workflow_document(), secret=secret)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json()["code"] == "database_unavailable"
    assert not Delivery.objects.exists()
