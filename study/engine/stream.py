"""Images read from disk while the device is at work, in the order in which they will be needed."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from study.data import Split
from study.data.pictures import Pictures
from study.engine import machine
from study.engine.inputs import Images, Inputs, enter, tensor
from study.engine.means import Means

AHEAD = 4
"""Batches that are read before they are needed."""

TOGETHER = 8
"""Images that a thread reads before it takes the next: few, that all threads end at once."""


@dataclass
class Waiting:
    """A batch being read: its labels, its pixels in memory, and what fills them."""

    labels: np.ndarray
    pixels: Tensor
    parts: Sequence[Future[None]]


class Stream:
    """Images of a split that stays on disk, decoded by `loaders` threads (decoding frees Python's
    lock). Each batch lands where the one before it lay, so that a recorded step can be replayed.

    waited: seconds in which the loop stood waiting for images; a card may have been at work.
    """

    def __init__(self, split: Split, scale: float, device: str, loaders: int):
        assert isinstance(split.images, Pictures)
        self.crops = split.images.view.augment
        self.waited = 0.0
        self._pictures, self._labels = split.images, split.labels
        self._scale, self._device = scale, device
        self._threads = ThreadPoolExecutor(loaders, thread_name_prefix="loader")
        self._loaders = loaders
        self._told: deque[Iterator[tuple[Tensor, np.ndarray | None]]] = deque()
        self._reading: deque[Waiting] = deque()
        self._free: dict[torch.Size, list[Tensor]] = {}
        self._ready: dict[torch.Size, tuple[Tensor, Tensor]] = {}
        self._copied: tuple[Tensor, torch.cuda.Event] | None = None

    def check(self, positions: np.ndarray) -> None:
        """Read each of these once, so that a damaged file is known before anything is trained."""
        self._pictures.check(positions, self._loaders)

    def forget(self) -> None:
        """Expect nothing any more."""
        self._told.clear()
        for batch in self._reading:
            for part in batch.parts:
                part.cancel()
            wait(batch.parts)
            self._free[batch.pixels.shape].append(batch.pixels)
        self._reading.clear()

    def expect(self, batches: Iterable[Tensor], crops: Iterable[np.ndarray] | None = None) -> None:
        """Remember what is to come, and begin to read it."""
        self._told.append(zip(batches, repeat(None) if crops is None else crops, strict=False))
        self._read_on()

    def advance(self) -> None:
        """Bring the next batch to the device."""
        begin = perf_counter()
        self._read_on()
        batch = self._reading.popleft()
        for part in batch.parts:
            part.result()
        self.waited += perf_counter() - begin
        shape = batch.pixels.shape
        if shape not in self._ready:
            pixels = torch.empty(shape, dtype=torch.uint8, device=self._device)
            self._ready[shape] = (
                pixels,
                torch.empty(shape[:2], dtype=torch.int64, device=self._device),
            )
        self._give_back()
        pixels, labels = self._ready[shape]
        pixels.copy_(batch.pixels, non_blocking=True)
        labels.copy_(tensor(batch.labels))
        self._hold(batch.pixels)
        self._read_on()

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The batch at hand, which is the one at these positions."""
        shape = torch.Size((*positions.shape, *self._pictures.shape[1:]))
        pixels, labels = self._ready[shape]
        return enter(pixels, self._scale, torch.float32), labels

    def close(self) -> None:
        """Read no further."""
        self._threads.shutdown(cancel_futures=True)

    def _read_on(self) -> None:
        """Keep so many batches on the way."""
        while self._told and len(self._reading) < AHEAD:
            following = next(self._told[0], None)
            if following is None:
                self._told.popleft()
            else:
                self._reading.append(self._begin(*following))

    def _begin(self, positions: Tensor, crops: np.ndarray | None) -> Waiting:
        places = positions.cpu().numpy()
        shape = torch.Size((*places.shape, *self._pictures.shape[1:]))
        free = self._free.setdefault(shape, [])
        pinned = self._device == "cuda"
        pixels = free.pop() if free else torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        target, flat = pixels.flatten(0, 1).numpy(), places.ravel()
        numbers = None if crops is None else crops.ravel()
        parts = [
            self._threads.submit(self._read, target, flat, numbers, begin)
            for begin in range(0, len(flat), TOGETHER)
        ]
        return Waiting(self._labels[places], pixels, parts)

    def _read(
        self, target: np.ndarray, places: np.ndarray, crops: np.ndarray | None, begin: int
    ) -> None:
        for i in range(begin, min(begin + TOGETHER, len(places))):
            crop = None if crops is None else int(crops[i])
            target[i] = self._pictures.read(int(places[i]), crop)

    def _hold(self, pixels: Tensor) -> None:
        """Memory that a card may still be copying from."""
        if self._device == "cuda":
            event = torch.cuda.Event()
            event.record()
            self._copied = pixels, event
        else:
            self._free[pixels.shape].append(pixels)

    def _give_back(self) -> None:
        """It is free once the copy is made."""
        if self._copied is not None:
            pixels, event = self._copied
            event.synchronize()
            self._free[pixels.shape].append(pixels)
            self._copied = None


def reader(split: Split, scale: float, means: Means) -> Inputs:
    """Inputs that read the images of a split from where they are."""
    if isinstance(split.images, Pictures):
        return Stream(split, scale, means.device, means.loaders or machine.cores())
    return Images(split, scale, means.device)
