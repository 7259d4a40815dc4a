"""What people write to train on photographs: ImageFolder, torchvision's transforms, a loop."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from bench.feed import Fed, Ready, Task, timed
from bench.machine import cores
from bench.resnet10 import Learner


def plain_loop(task: Task, ready: Ready) -> Fed:
    """One thread that decodes a batch, then steps."""
    torch.set_num_threads(1)
    data, learner = _images(task), Learner(task.device)

    def advance(steps: int) -> None:
        for _ in range(steps):
            chosen = torch.randint(len(data), (task.batch,)).tolist()
            images, labels = zip(*(data[place] for place in chosen), strict=True)
            learner.learn(torch.stack(images).to(task.device), torch.tensor(labels).to(task.device))

    rate, _ = timed(advance, task.batch, task, ready)
    return Fed(rate, threads=1)


def data_loader(task: Task, ready: Ready) -> Fed:
    """A DataLoader whose processes, one a core, read for the one that trains."""
    torch.set_num_threads(cores())
    loader = DataLoader(
        _images(task),
        task.batch,
        shuffle=True,
        num_workers=cores(),
        pin_memory=task.device == "cuda",
        drop_last=True,
        persistent_workers=True,
    )
    learner, batches = Learner(task.device), _without_end(loader)

    def advance(steps: int) -> None:
        for _ in range(steps):
            images, labels = next(batches)
            learner.learn(
                images.to(task.device, non_blocking=True),
                labels.to(task.device, non_blocking=True),
            )

    rate, _ = timed(advance, task.batch, task, ready)
    return Fed(rate, threads=cores(), loaders=cores())


def _images(task: Task) -> Any:
    """The training images, cut as the study cuts them."""
    steps = [
        transforms.Resize(256),
        transforms.RandomCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
    ]
    return datasets.ImageFolder(str(task.folder / "imagenet/train"), transforms.Compose(steps))


def _without_end(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader
