"""From logits to numbers: AUC, decisions, confusion, status. Pure, in float64, on any device."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from study.named import lookup

Decision = Callable[[Tensor, Tensor], Tensor]
"""(logits (n, classes), images of each class in the imbalanced set) -> the chosen classes (n)."""


def argmax(logits: Tensor, counts: Tensor) -> Tensor:
    """The largest output."""
    return logits.argmax(1)


def prior(logits: Tensor, counts: Tensor) -> Tensor:
    """The largest quotient of softmax output and prior, as logarithms: small outputs would tie."""
    return (logits.double() - (counts / counts.sum()).log()).argmax(1)


DECISIONS: dict[str, Decision] = {"argmax": argmax, "prior": prior}


@dataclass(frozen=True)
class Scores:
    """How one way of deciding fares on one test set; None where the network diverged."""

    status: str
    auc: float | None
    accuracy: float | None
    auc_per_class: list[float | None] | None
    recall_per_class: list[float | None] | None
    confusion: list[list[int]] | None


@dataclass(frozen=True)
class Point:
    """How a network fares on its way; accuracies by the way of deciding."""

    iteration: int
    train_loss: float
    train_accuracy: dict[str, float]
    test_loss: float
    test_accuracy: dict[str, float]


DIVERGED = Scores("diverged", None, None, None, None, None)


def score(logits: Tensor, labels: Tensor, counts: Tensor, decision: str) -> Scores:
    """Everything a record says of a network on the test set.

    Status is `diverged` where an output is not finite, `chance` where the AUC is no higher than a
    coin's could be (three standard errors above 0.5), else `ok`.
    """
    if not logits.isfinite().all():
        return DIVERGED
    table = confusion(labels, lookup(DECISIONS, decision)(logits, counts), logits.shape[1])
    areas = auc_per_class(softmax(logits), labels)
    held = [area for area in areas if area is not None]
    auc = float(np.mean(held)) if held else None
    sizes = table.sum(axis=1)
    recall = [float(table[i, i] / n) if n else None for i, n in enumerate(sizes)]
    return Scores(
        status="chance" if auc is not None and auc <= 0.5 + 3 * coin_error(sizes) else "ok",
        auc=auc,
        accuracy=float(np.trace(table) / len(labels)),
        auc_per_class=areas,
        recall_per_class=recall,
        confusion=table.tolist(),
    )


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the last axis in float64."""
    return logits.double().softmax(-1)


def auc_per_class(outputs: Tensor, labels: Tensor) -> list[float | None]:
    """The area under each class's one-vs-rest ROC curve by the trapezoid rule.

    The rank form of Mann and Whitney: equal outputs share their mean rank, as they share a slanted
    piece of the curve. None for a class that the labels lack, or hold alone.
    """
    number, classes = outputs.shape
    inside = labels.bincount(minlength=classes)
    largest = int(inside.max())
    columns = outputs.T.contiguous()
    # the images of each class, a row a class; what is too long for a class is not counted
    images = labels.argsort(stable=True)
    place = torch.arange(largest, device=labels.device)
    rows = (inside.cumsum(0) - inside).unsqueeze(1) + place
    own = columns.gather(1, images[rows.clamp(max=number - 1)])
    ordered = columns.sort(1).values
    below = torch.searchsorted(ordered, own)
    up_to = torch.searchsorted(ordered, own, right=True)
    doubled = (below + up_to + 1) * (place < inside.unsqueeze(1))  # twice the mean rank, from 1
    pairs = inside * (number - inside)
    areas = (doubled.sum(1) - inside * (inside + 1)).double() / (2 * pairs)
    return [area if n else None for area, n in zip(areas.tolist(), pairs.tolist(), strict=True)]


def confusion(labels: Tensor, chosen: Tensor, classes: int) -> np.ndarray:
    """(true class, chosen class) -> images."""
    flat = (labels * classes + chosen).bincount(minlength=classes**2)
    return flat.cpu().numpy().reshape(classes, classes)


def coin_error(sizes: np.ndarray) -> float:
    """The standard error of the mean AUC of random outputs on a test set with these classes.

    Mann and Whitney's for each class; outputs that sum to one, and classes that shut one another
    out, correlate two classes' AUCs by 1 / (C - 1)^2, so the mean of C equal ones has the error of
    C - 1 independent ones (and of two classes there is but one AUC).
    """
    inside = sizes[(sizes > 0) & (sizes < sizes.sum())].astype(np.float64)
    if not len(inside):
        return 0.0
    outside = sizes.sum() - inside
    variances = (sizes.sum() + 1) / (12 * inside * outside)
    return float(np.sqrt(variances.mean() / (len(inside) - 1)))


AT_ONCE = 65536
"""Images whose outputs are held in float64 at a time."""


def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """The mean negative log-likelihood of the labels."""
    parts = zip(logits.split(AT_ONCE), labels.split(AT_ONCE), strict=True)
    return sum(float(F.cross_entropy(x.double(), y, reduction="sum")) for x, y in parts) / len(
        labels
    )


def accuracy(logits: Tensor, labels: Tensor, counts: Tensor, decision: str) -> float:
    """The share that is decided rightly."""
    decide = lookup(DECISIONS, decision)
    parts = zip(logits.split(AT_ONCE), labels.split(AT_ONCE), strict=True)
    return sum(int((decide(x, counts) == y).sum()) for x, y in parts) / len(labels)
