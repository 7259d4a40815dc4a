"""The resident loop: all images one float tensor on the device, batches taken by index."""

import numpy as np
import torch
from torch import Tensor

from bench import images
from bench.learner import Advance, Learner, Start, batches, each


def plain(start: Start) -> Advance:
    """A module in the default layout, trained on images that stay where it is."""
    return loop(*as_floats(*images.read(start.folder)), start.device)


def as_floats(pixels: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    """Images (n, 1, 28, 28) as ToTensor makes them, and labels."""
    stacked = torch.from_numpy(np.array(pixels)).unsqueeze(1)
    return stacked.float().div_(255), torch.from_numpy(labels)


def loop(pixels: Tensor, labels: Tensor, device: str) -> Advance:
    """One training on these images."""
    pixels, labels = pixels.to(device), labels.to(device)
    learner = Learner(device)
    stream = batches(len(labels), 1, device)

    def step() -> Tensor:
        (chosen,) = next(stream)
        return learner.learn(pixels[chosen], labels[chosen])

    return lambda steps: each(steps, step)
