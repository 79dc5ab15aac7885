"""Where deliveries may be posted, and how the progress of that is kept."""

import pytest

from logs.management.workbench import forwarding
from logs.management.workbench.forwarding import Progress, progress_path, refuse_public
from logs.management.workbench.sources import Refused


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x", "http://localhost/", "http://[::1]:8000/", "http://10.1.2.3/", "https://192.168.0.9/",
     "http://172.16.0.1", "http://[fd00::1]/", "http://[::ffff:10.0.0.1]/"],
)  # fmt: skip
def test_this_machine_and_its_network_are_allowed(url):
    refuse_public(url)


@pytest.mark.parametrize(
    "url",
    ["http://93.184.215.14/", "http://172.32.0.1/", "http://[2606:2800:21f::1]/", "http://[::ffff:8.8.8.8]/",
     "http://134744072/"],
)  # fmt: skip
def test_the_internet_is_refused(url):
    with pytest.raises(Refused, match="a public address"):
        refuse_public(url)


def test_one_public_address_of_several_is_enough_to_refuse(monkeypatch):
    found = [(0, 0, 0, "", ("127.0.0.1", 80)), (0, 0, 0, "", ("8.8.8.8", 80))]
    monkeypatch.setattr(forwarding.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(Refused, match=r"8\.8\.8\.8"):
        refuse_public("http://both.example/")


def test_progress_is_read_back(tmp_path):
    progress = Progress(tmp_path / "new" / "state.json")
    assert progress.cursor is None
    with progress.held():
        progress.keep("one")
        progress.keep("two")
        assert progress.cursor == "two"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["state.json", "state.json.lock"]


def test_two_processes_do_not_share_their_progress(tmp_path):
    path = tmp_path / "state.json"
    refused = pytest.raises(Refused, match="name another file with --state")
    with Progress(path).held(), refused, Progress(path).held():
        pass
    with Progress(path).held():
        pass


@pytest.mark.parametrize("content", ["", "{}", "[]", "nothing"])
def test_a_spoilt_file_is_refused(tmp_path, content):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(Refused, match="begin anew with --since"):
        _ = Progress(tmp_path / "state.json").cursor


def test_each_choice_between_two_addresses_has_progress_of_its_own(tmp_path):
    pairs = [("a", "b", {}), ("a", "c", {}), ("b", "b", {}), ("", "ab", {}), ("a", "b", {"project": "orchard"})]
    assert len({progress_path(tmp_path, *pair).name for pair in pairs}) == 5
