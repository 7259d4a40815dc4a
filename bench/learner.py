"""What the peers share: the module, its optimiser and schedule, the order of batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from bench.work import BATCH, DECAY, GAMMA, MOMENTUM, POWER, RATE, SECOND_PHASE_RATE


@dataclass(frozen=True)
class Start:
    """What a contender is given. `networks` are those that it advances at once."""

    folder: Path
    device: str
    networks: int = 1


Advance = Callable[[int], Tensor | None]
"""Take so many steps; gives the losses (networks,) of the last one, where they can be had."""


def lenet5(seed: int = 0) -> nn.Sequential:
    """The network as people write it. The same seed, the same weights, for every contender."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 20, 5),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(800, 500),
            nn.ReLU(),
            nn.Linear(500, 10),
        )


def decline(iteration: int) -> float:
    """The rate of an iteration as a multiple of the first: Caffe's `inv`."""
    return float((1 + GAMMA * iteration) ** -POWER)


class Learner:
    """A plain module with PyTorch's own optimiser and schedule, both at their defaults."""

    def __init__(self, device: str, second_phase: bool = False):
        self._module = lenet5().to(device)
        if second_phase:
            for weight in self._module[:-1].parameters():
                weight.requires_grad_(False)
        learned = [weight for weight in self._module.parameters() if weight.requires_grad]
        rate = SECOND_PHASE_RATE if second_phase else RATE
        self._optimizer = torch.optim.SGD(learned, rate, MOMENTUM, weight_decay=DECAY)
        self._schedule = LambdaLR(self._optimizer, decline)

    def learn(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step; gives its loss."""
        self._optimizer.zero_grad()
        loss = F.cross_entropy(self._module(images), labels)
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()


def batches(number: int, networks: int, device: str) -> Iterator[Tensor]:
    """Positions (networks, batch) without end: a fresh order each epoch, the short end left out."""
    whole = number // BATCH * BATCH
    while True:
        orders = [torch.randperm(number, device=device)[:whole] for _ in range(networks)]
        yield from torch.stack(orders).split(BATCH, dim=1)


def each(steps: int, losses: Callable[[], Tensor]) -> Tensor:
    """So many calls; what the last gave, as (networks,)."""
    for _ in range(steps):
        last = losses()
    return last.reshape(-1)
