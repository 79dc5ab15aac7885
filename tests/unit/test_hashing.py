"""Few passwords are hashed at once, and the others not at all."""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from logs import hashing
from logs.hashing import BoundedPasswordHasher, TooManyPasswords, places_among


@pytest.fixture
def two_places(monkeypatch):
    monkeypatch.setattr(hashing, "free_places", deque([None, None]))


@pytest.mark.parametrize(("threads", "places"), [(1, 1), (2, 1), (8, 1), (15, 1), (16, 2), (64, 8)])
def test_an_eighth_of_the_threads_may_hash_and_at_least_one(threads, places):
    assert places_among(threads) == places


def test_hashes_as_many_as_there_are_places_and_raises_at_once_for_more(two_places, monkeypatch):
    both_hash, may_end = threading.Barrier(3), threading.Event()

    def hash_slowly(*args):
        both_hash.wait()
        assert may_end.wait(10)
        return "a hash"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", hash_slowly)
    hasher = BoundedPasswordHasher()
    with ThreadPoolExecutor(2) as pool:
        hashes = [pool.submit(hasher.encode, "password", "salt") for _ in range(2)]
        both_hash.wait()
        for _ in range(3):
            with pytest.raises(TooManyPasswords):
                hasher.encode("password", "salt")
        may_end.set()
        assert [each.result() for each in hashes] == ["a hash"] * 2
    assert len(hashing.free_places) == 2


def test_a_place_is_free_again_after_an_error(two_places):
    for _ in range(3):
        with pytest.raises(TypeError):
            BoundedPasswordHasher().encode(None, "salt")
    assert len(hashing.free_places) == 2


def test_checking_needs_a_place_too(monkeypatch):
    hasher = BoundedPasswordHasher()
    encoded = hasher.encode("password", "salt", iterations=1)
    assert hasher.verify("password", encoded)
    monkeypatch.setattr(hashing, "free_places", deque())
    with pytest.raises(TooManyPasswords):
        hasher.verify("password", encoded)


def test_knows_the_hashes_that_django_has_made():
    encoded = PBKDF2PasswordHasher().encode("password", "salt", iterations=1)
    assert BoundedPasswordHasher().verify("password", encoded)
