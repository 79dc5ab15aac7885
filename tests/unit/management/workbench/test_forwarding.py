"""Where deliveries may be posted, and how the progress of that is kept."""

import pytest

from logs.management.workbench import forwarding
from logs.management.workbench.forwarding import CursorFile, default_cursor_path, require_private
from logs.management.workbench.sources import Unrecoverable


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x", "http://localhost/", "http://[::1]:8000/", "http://10.1.2.3/", "https://192.168.0.9/",
     "http://172.16.0.1", "http://[fd00::1]/", "http://[::ffff:10.0.0.1]/"],
)  # fmt: skip
def test_this_machine_and_its_network_are_allowed(url):
    require_private(url)


@pytest.mark.parametrize(
    "url",
    ["http://93.184.215.14/", "http://172.32.0.1/", "http://[2606:2800:21f::1]/", "http://[::ffff:8.8.8.8]/",
     "http://134744072/"],
)  # fmt: skip
def test_the_internet_is_refused(url):
    with pytest.raises(Unrecoverable, match="has the public IP address"):
        require_private(url)


def test_one_public_address_of_several_is_enough_to_refuse(monkeypatch):
    found = [(0, 0, 0, "", ("127.0.0.1", 80)), (0, 0, 0, "", ("8.8.8.8", 80))]
    monkeypatch.setattr(forwarding.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(Unrecoverable, match=r"8\.8\.8\.8"):
        require_private("http://both.example/")


def test_progress_is_read_back(tmp_path):
    cursor_file = CursorFile(tmp_path / "new" / "state.json")
    assert cursor_file.cursor is None
    with cursor_file.locked():
        cursor_file.save("one")
        cursor_file.save("two")
        assert cursor_file.cursor == "two"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["state.json", "state.json.lock"]


def test_two_processes_do_not_share_their_progress(tmp_path):
    path = tmp_path / "state.json"
    refused = pytest.raises(Unrecoverable, match="name another file with --state")
    with CursorFile(path).locked(), refused, CursorFile(path).locked():
        pass
    with CursorFile(path).locked():
        pass


@pytest.mark.parametrize("content", ["", "{}", "[]", "nothing"])
def test_a_spoilt_file_is_refused(tmp_path, content):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(Unrecoverable, match="restart with --since"):
        _ = CursorFile(tmp_path / "state.json").cursor


def test_each_choice_between_two_addresses_has_progress_of_its_own(tmp_path):
    pairs = [("a", "b", {}), ("a", "c", {}), ("b", "b", {}), ("", "ab", {}), ("a", "b", {"project": "orchard"})]
    assert len({default_cursor_path(tmp_path, *pair).name for pair in pairs}) == 5
