"""ResNet-10 as people write it: a module in the default layout, with PyTorch's own optimiser."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE, MOMENTUM, DECAY = 1e-3, 0.9, 1e-4


class Block(nn.Module):
    """Two convolutions and a way around them, which all blocks but the first narrow by half."""

    def __init__(self, entering: int, leaving: int):
        super().__init__()
        narrow = entering != leaving
        before = nn.Sequential(nn.BatchNorm2d(entering), nn.ReLU())
        self.before = before if narrow else nn.Identity()
        self.branch = nn.Sequential(
            nn.Conv2d(entering, leaving, 3, 1 + narrow, 1, bias=False),
            nn.BatchNorm2d(leaving),
            nn.ReLU(),
            nn.Conv2d(leaving, leaving, 3, 1, 1, bias=False),
        )
        projection = nn.Conv2d(entering, leaving, 1, 2, bias=False)
        self.shortcut = projection if narrow else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        x = self.before(x)
        both: Tensor = self.branch(x) + self.shortcut(x)
        return both


def resnet10(classes: int = 1000) -> nn.Sequential:
    """The network of the ImageNet grids."""
    return nn.Sequential(
        nn.BatchNorm2d(3),
        nn.Conv2d(3, 64, 7, 2, 3),
        *(nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(Block(64, 64), Block(64, 128), Block(128, 256), Block(256, 512)),
        *(nn.BatchNorm2d(512), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(512, classes),
    )


class Learner:
    """The module on a device, and its optimiser."""

    def __init__(self, device: str):
        self._module = resnet10().to(device)
        weights = self._module.parameters()
        self._optimizer = torch.optim.SGD(weights, RATE, MOMENTUM, weight_decay=DECAY)

    def learn(self, images: Tensor, labels: Tensor) -> None:
        """One step."""
        self._optimizer.zero_grad()
        F.cross_entropy(self._module(images), labels).backward()
        self._optimizer.step()
