"""The mailbox beside a cluster's run: letters wait in it until the driver answers them.

Letters are bytes, and this module imports nothing of the study's: it is sent by value, and the
cluster's server for clients, which handles all that a client sends, need not load the study too.
"""

import asyncio
from typing import Any

WAIT = 1.0
"""Seconds that the driver waits for a letter before it looks whether the run is over."""


class Mailbox:
    """An actor of the cluster's."""

    def __init__(self) -> None:
        self._letters: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._open: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._words: dict[str, str] = {}

    async def send(self, letter: bytes) -> bytes:
        """The driver's answer."""
        self._number += 1
        number = self._number
        self._open[number] = asyncio.get_running_loop().create_future()
        await self._letters.put((number, letter))
        return await self._open[number]

    async def take(self) -> list[tuple[int, bytes]]:
        """The letters that have come, in their order; for a while it is waited for one."""
        try:
            letters = [await asyncio.wait_for(self._letters.get(), WAIT)]
        except TimeoutError:
            return []
        while not self._letters.empty():
            letters.append(self._letters.get_nowait())
        return letters

    async def answer(self, number: int, answer: bytes) -> None:
        """Let the sender of that letter go on."""
        self._open.pop(number).set_result(answer)

    async def hung(self, job: str, stacks: str) -> None:
        """As the writer's."""
        self._words[job] = stacks

    async def words(self, job: str) -> str | None:
        """As the writer's."""
        return self._words.pop(job, None)


def run(mailbox: Any, orders: bytes) -> str | None:
    """A task of the cluster's: get the jobs done; gives what is wrong with all, if anything."""
    from study.execute.afar import conducted

    return conducted(mailbox, orders)
