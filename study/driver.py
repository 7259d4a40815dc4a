"""Who drives a store: one command at a time, and what it is at, for others to see."""

import json
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, get_type_hints

from study.errors import UserError, line
from study.parts import whole
from study.remote import Shelf, files
from study.store import Store

DRIVERS = "drivers"

MOST = 10**12
"""The largest number on a card that is believed."""

BEAT = 10.0
"""Seconds after which a driver writes its card again."""

STILL = 3.5 * BEAT
"""Seconds for which the card of another machine must not change until its driver counts as gone.
Cards are watched and not dated: clocks differ, and are set back.
"""


@dataclass(frozen=True)
class Card:
    """A driver: its process, when it began, and how its run fares.

    machine: the boot and the process numbers' space, within which pid and started name a process;
    empty where that cannot be told. still: who watched it saw nothing written for STILL seconds.
    """

    host: str
    machine: str
    pid: int
    started: str
    since: str
    command: str
    beat: int = 0
    seconds: float = 0.0
    cases: int = 0
    done: int = 0
    failed: int = 0
    running: tuple[str, ...] = ()
    still: bool = False

    def __str__(self) -> str:
        return f"{self.command} on {self.host}, process {self.pid}, since {self.since}"

    @property
    def gone(self) -> bool | None:
        """Whether the process has ended; None where that cannot be told from here."""
        if self.machine and self.machine == machine():
            now = birth(self.pid)
            if now or not hidden(self.pid):
                return now != self.started
        return self.still or None


TAKEN = "another has taken this run's place, which stood still for too long or had its card removed"


class Driver:
    """Holds a store while one command writes there, and says how it fares."""

    def __init__(self, store: Store, say: Callable[[str], None], command: str):
        self._folder, self._say = store.folder / DRIVERS, say
        self._path = self._folder / f"{uuid.uuid4().hex}.json"
        self._card = Card(
            host=platform.node(),
            machine=machine(),
            pid=os.getpid(),
            started=birth(os.getpid()),
            since=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            command=command,
        )
        self._told: dict[str, Any] = {}
        self._start: float | None = None
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Driver":
        """Take the store. Who comes later sees this card; of two that come at once both may go."""
        try:
            self._write()
        except OSError as error:
            name, why = error.filename or self._folder, error.strerror or error
            raise UserError(f"{name}: cannot be written ({why})") from None
        self._heart.start()  # first: who is looked at may be looking, and must not see it stand
        try:
            for path, card in cards(self._folder):
                if path.name != self._path.name:
                    self._refuse_unless_gone(path, card)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._over.set()
        self._heart.join()
        self._leave()

    def tell(self, cases: int, done: int, failed: int, running: Collection[str]) -> None:
        """How the run fares now; it is written down with the next beat. Its time begins with its
        first job: what comes before is no measure of what is to come.
        """
        if running and self._start is None:
            self._start = time.monotonic()
        self._told = {"cases": cases, "done": done, "failed": failed, "running": tuple(running)}

    def _refuse_unless_gone(self, path: Shelf, card: Card) -> None:
        if card.gone is None:
            self._say(
                f"{self._folder.parent}: watching for {STILL:.0f} s whether {card} still drives it"
            )
            if _changes(path, STILL):
                self._refuse(card)
        elif not card.gone:
            self._refuse(card)
        self._say(f"{card} has ended without a word; its place is taken")
        path.unlink(missing_ok=True)

    def _refuse(self, card: Card) -> None:
        raise UserError(
            f"{self._folder.parent}: in use by {card}; wait for its end or stop it, or name "
            f"another folder"
        )

    def _beat(self) -> None:
        beat = 0
        while not self._over.wait(BEAT):
            beat += 1
            with suppress(OSError):  # a full disk is the writer's to report
                if not self._path.exists():
                    self._say(f"{self._folder.parent}: {TAKEN}")
                    os.kill(os.getpid(), signal.SIGINT)
                    return
                self._write(beat)

    def _write(self, beat: int = 0) -> None:
        seconds = 0.0 if self._start is None else round(time.monotonic() - self._start, 3)
        card = replace(self._card, beat=beat, seconds=seconds, **self._told)
        with whole(self._path, replace=True) as out:
            out.write(json.dumps(asdict(card)).encode())

    def _leave(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._folder.rmdir()


def forget_gone(store: Store) -> None:
    """Remove the cards that killed drivers have left; those that may live stay."""
    folder = store.folder / DRIVERS
    with suppress(OSError):
        for path, card in cards(folder):
            if card.gone:
                path.unlink(missing_ok=True)
        folder.rmdir()


def cards(folder: Shelf) -> Iterator[tuple[Shelf, Card]]:
    """The cards that lie there; one that says nothing readable is of a process unknown."""
    for path in files(folder, ".json"):
        try:
            yield path, _card(json.loads(path.read_bytes()))
        except FileNotFoundError:  # it has left meanwhile
            continue
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield path, Card("a machine unknown", "", 0, "", "a time unknown", "a command unknown")


def _card(raw: Any) -> Card:
    """A card as it was written; ValueError, KeyError or TypeError where it is none."""
    told: dict[str, Any] = {}
    for name, kind in get_type_hints(Card).items():
        value = raw[name]
        if name == "running":
            value = tuple(line(case) for case in value)
        elif type(value) is not kind:
            raise TypeError(name)
        elif kind is str:
            value = line(value)
        elif not 0 <= value <= MOST:
            raise ValueError(name)
        told[name] = value
    return Card(**told)


def _changes(path: Shelf, seconds: float) -> bool:
    """Whether a card is written again within so many seconds."""
    try:
        before = path.read_bytes()
        for _ in range(int(seconds)):
            time.sleep(1)
            if path.read_bytes() != before:
                return True
    except FileNotFoundError:
        pass
    return False


def machine() -> str:
    """The boot of this machine and the space its process numbers are in; empty where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def birth(pid: int) -> str:
    """When the process of that number began, in ticks since the boot; empty where there is none."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else rest[18]


def hidden(pid: int) -> bool:
    """Whether there is a process of that number which is not ours to look at."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        pass
    return False
