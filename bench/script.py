"""The script that people write: Dataset, transforms, DataLoader, module, optimiser, scheduler."""

from collections.abc import Iterator

from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from bench.learner import Advance, Learner, Start, each
from bench.work import BATCH


def plain(start: Start) -> Advance:
    """As written most often: the images are read in the process that trains."""
    return _script(start, workers=0)


def two_loader_workers(start: Start) -> Advance:
    """Two processes read the images for the one that trains."""
    return _script(start, workers=2)


def second_phase(start: Start) -> Advance:
    """All layers frozen but the last; every batch still goes through all of them."""
    return _script(start, workers=0, second=True)


def _script(start: Start, workers: int, second: bool = False) -> Advance:
    data = datasets.MNIST(start.folder, train=True, transform=transforms.ToTensor())
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=workers)
    learner = Learner(start.device, second)
    stream = _without_end(loader)

    def step() -> Tensor:
        images, labels = next(stream)
        return learner.learn(images.to(start.device), labels.to(start.device))

    return lambda steps: each(steps, step)


def _without_end(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader
