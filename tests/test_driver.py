"""Two drivers on one store: the second refuses and names the first; a card left behind is known."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from study import driver
from study.driver import Card, Driver, birth, cards, machine
from study.errors import UserError
from study.run import main
from study.store import Store
from tests.conftest import ROOT

INPROCESS = ["--executor", "inprocess"]

HOLD = """
import sys
from pathlib import Path
from study.driver import Driver
from study.store import Store
with Driver(Store(Path(sys.argv[1])), print, "holder"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results" / "tiny")


@pytest.fixture
def holder(store):
    """Another process that holds the store."""
    words = [sys.executable, "-c", HOLD, str(store.folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def own(store):
    return [card for _, card in cards(store.folder / "drivers")]


def test_the_second_refuses_and_names_the_first(store, holder, grid_file, capsys):
    words = [str(grid_file()), *INPROCESS, "--results", str(store.folder.parent)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{store.folder}: in use by holder on ")
    assert f"process {holder.pid}, since " in said
    assert not store.records(), "nothing was trained"
    (card,) = own(store)
    assert card.pid == holder.pid, "and the first keeps its place"
    holder.communicate()
    assert main(words) == 0, "when it has left, the store is free"
    assert not (store.folder / "drivers").exists()


def test_looking_is_free(store, holder, grid_file, capsys):
    grid = str(grid_file())
    assert main([grid, "--plan", "--json", "--results", str(store.folder.parent)]) == 0
    assert json.loads(capsys.readouterr().out)["records_left"] > 0


@pytest.mark.parametrize("reaped", [True, False])
def test_the_card_of_a_killed_process_is_known_at_once(store, holder, reaped):
    os.kill(holder.pid, signal.SIGKILL)
    if reaped:
        holder.wait()
    else:
        while birth(holder.pid):  # a zombie still has a number, and drives nothing
            time.sleep(0.01)
    said, begin = [], time.monotonic()
    with Driver(store, said.append, "test"):
        assert [card.pid for card in own(store)] == [os.getpid()]
    assert time.monotonic() - begin < 2
    assert said[0].startswith("holder on ")
    assert said[0].endswith("has ended without a word; its place is taken")


def test_where_nothing_is_left_to_do_cards_of_the_killed_go_too(store, holder, grid_file, capsys):
    words = [str(grid_file()), *INPROCESS, "--results", str(store.folder.parent)]
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert main(words) == 0
    (store.folder / "drivers").mkdir()
    gone = Card("here", machine(), 999999, "5", "then", "study.run")
    for name, card in (("a", gone), ("b", replace(gone, machine="another"))):
        (store.folder / "drivers" / f"{name}.json").write_text(json.dumps(asdict(card)))
    assert main(words) == 0
    assert "nothing left to do" in capsys.readouterr().out
    assert [card.machine for card in own(store)] == ["another"], "of that nothing is known"


def test_who_looks_whether_another_lives_is_seen_to_live(store, monkeypatch):
    """Of two that come at once on two machines each sees the other's card change."""
    monkeypatch.setattr(driver, "BEAT", 0.02)
    monkeypatch.setattr(driver, "STILL", 2)
    (store.folder / "drivers").mkdir(parents=True)
    theirs = store.folder / "drivers" / "theirs.json"
    theirs.write_text(json.dumps(asdict(Card("afar", "another", 77, "5", "then", "study.run"))))
    beats = []

    def sleep(seconds, wait=time.sleep):
        wait(0.2)
        beats.append(next(card.beat for card in own(store) if card.host != "afar"))

    monkeypatch.setattr(driver.time, "sleep", sleep)
    with Driver(store, lambda text: None, "test"):
        pass
    assert beats == sorted(set(beats)), "each time another"


def test_a_driver_whose_place_was_taken_stops(store, monkeypatch):
    """As after a machine that slept, or a network that was away."""
    monkeypatch.setattr(driver, "BEAT", 0.02)
    said = []

    def drive():
        with Driver(store, said.append, "test"):
            (path,) = (store.folder / "drivers").iterdir()
            path.unlink()
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        drive()
    assert "another has taken this run's place" in said[0]
    assert not (store.folder / "drivers").exists()


def test_a_process_that_hides_from_us_is_not_taken_for_dead(store, monkeypatch):
    """As where /proc is mounted with hidepid, and another user's run goes on."""
    card = Card("here", machine(), 1, "5", "then", "study.run")
    monkeypatch.setattr(driver, "birth", lambda pid: "")

    def kill(pid, signum):
        raise PermissionError

    monkeypatch.setattr(driver.os, "kill", kill)
    assert card.gone is None
    assert replace(card, still=True).gone


@pytest.mark.parametrize(
    "changes",
    [
        {"done": None},
        {"cases": "many"},
        {"cases": 10**400},
        {"cases": -1},
        {"seconds": float("nan")},
        {"running": [["a"]]},
        {"running": None},
        {"pid": "../proc/1"},
        {"host": None},
    ],
)
def test_a_card_that_cannot_be_is_of_a_process_unknown(tmp_path, changes):
    card = asdict(Card("here", machine(), 1, "5", "then", "study.run"))
    (tmp_path / "a.json").write_text(json.dumps(card | changes))
    (tmp_path / "b.json").write_text("[" * 100_000)
    assert [one.host for _, one in cards(tmp_path)] == ["a machine unknown"] * 2


def test_what_a_card_says_does_nothing_to_a_terminal(tmp_path):
    card = asdict(Card("he\x1b[2Jre", machine(), 1, "5", "th\nen", "study.run"))
    (tmp_path / "a.json").write_text(json.dumps(card))
    ((_, one),) = cards(tmp_path)
    assert (one.host, one.since) == ("he\\x1b[2Jre", "th en")


def test_a_process_of_the_same_number_is_another(store, holder):
    path, card = next(cards(store.folder / "drivers"))
    path.write_text(json.dumps(asdict(replace(card, started="1"))))
    with Driver(store, lambda text: None, "test"):
        assert [card.command for card in own(store)] == ["test"]


@pytest.mark.parametrize("other", ["another machine", ""])
@pytest.mark.parametrize("beats", [True, False])
def test_a_driver_on_another_machine_is_watched(store, monkeypatch, other, beats):
    """Whatever the clocks say: the card changes, or it does not."""
    monkeypatch.setattr(driver, "STILL", 3)
    path = store.folder / "drivers" / "theirs.json"
    card = Card("afar", other, 77, "5", "2031-01-01 00:00:00 UTC", "study.run")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(asdict(card)))
    count = iter(range(1, 100))

    def sleep(seconds):
        if beats:
            path.write_text(json.dumps(asdict(replace(card, beat=next(count)))))

    monkeypatch.setattr(driver.time, "sleep", sleep)
    said = []
    if beats:
        with pytest.raises(UserError, match=r"in use by study\.run on afar, process 77"):
            Driver(store, said.append, "test").__enter__()
        assert [card.host for card in own(store)] == ["afar"]
    else:
        with Driver(store, said.append, "test"):
            assert [card.command for card in own(store)] == ["test"]
    assert said[0].startswith(f"{store.folder}: watching for 3 s whether study.run on afar")


def test_one_that_leaves_while_it_is_watched_is_gone(store, monkeypatch):
    path = store.folder / "drivers" / "theirs.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(asdict(Card("afar", "m", 77, "5", "then", "study.run"))))
    monkeypatch.setattr(driver.time, "sleep", lambda seconds: path.unlink(missing_ok=True))
    with Driver(store, lambda text: None, "test"):
        assert len(own(store)) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}', "\x00\xff"])
def test_a_card_that_cannot_be_read_is_watched_as_well(store, monkeypatch, text):
    monkeypatch.setattr(driver.time, "sleep", lambda seconds: None)
    path = store.folder / "drivers" / "theirs.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    said = []
    with Driver(store, said.append, "test"):
        assert not path.exists()
    assert "a command unknown on a machine unknown" in said[0]


def test_two_that_come_at_once_do_not_both_stay(store):
    """Each writes its card before it looks: at least one sees the other."""
    first, second = (Driver(store, lambda text: None, name) for name in ("first", "second"))
    seen = []
    look = driver.cards

    def slowly(folder):
        if not seen:
            seen.append(True)
            with pytest.raises(UserError, match="in use by first"):
                second.__enter__()
        return look(folder)

    driver.cards = slowly
    try:
        with first:
            assert [card.command for card in own(store)] == ["first"]
    finally:
        driver.cards = look


def test_the_card_says_how_the_run_fares(store, monkeypatch):
    monkeypatch.setattr(driver, "BEAT", 0.01)
    with Driver(store, print, "test") as held:
        held.tell(cases=9, done=3, failed=1, running=["a", "b"])
        until = time.monotonic() + 10
        while (card := own(store)[0]).beat < 3 or not card.cases:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert (card.cases, card.done, card.failed, card.running) == (9, 3, 1, ("a", "b"))
        assert card.machine == machine()
        assert not card.gone
        assert card.seconds > 0
    assert own(store) == []


def test_a_disk_that_is_full_stops_no_beat(store, monkeypatch):
    monkeypatch.setattr(driver, "BEAT", 0.01)
    with Driver(store, print, "test") as held:
        monkeypatch.setattr(held, "_write", lambda beat: (_ for _ in ()).throw(OSError(28, "full")))
        time.sleep(0.1)
        assert held._heart.is_alive()


def test_a_store_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "tiny").write_text("in the way")
    with pytest.raises(UserError, match=r"tiny.*: cannot be written"):
        Driver(Store(tmp_path / "tiny"), print, "test").__enter__()
