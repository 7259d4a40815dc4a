"""From logits to numbers: AUC, decisions, confusion, status. Pure, in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

Decision = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(logits (n, classes), images of each class in the imbalanced set) -> the chosen classes (n)."""


def argmax(logits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The largest output."""
    return logits.argmax(axis=1)


def prior(logits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The largest quotient of softmax output and prior, as logarithms: small outputs would tie."""
    return (logits.astype(np.float64) - np.log(counts / counts.sum())).argmax(axis=1)


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


DIVERGED = Scores("diverged", None, None, None, None, None)


def score(logits: np.ndarray, labels: np.ndarray, counts: np.ndarray, decision: str) -> Scores:
    """Everything a record says of a network on the test set.

    Status is `diverged` where an output is not finite, `chance` where the AUC is no higher than a
    coin's could be (three standard errors above 0.5), else `ok`.
    """
    if not np.isfinite(logits).all():
        return DIVERGED
    classes = logits.shape[1]
    table = confusion(labels, DECISIONS[decision](logits, counts), classes)
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


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(axis=-1, keepdims=True)


def auc_per_class(outputs: np.ndarray, labels: np.ndarray) -> list[float | None]:
    """The area under each class's one-vs-rest ROC curve by the trapezoid rule.

    The rank form of Mann and Whitney: equal outputs share their mean rank, as they share a slanted
    piece of the curve. None for a class that the labels lack, or hold alone.
    """
    areas: list[float | None] = []
    for label in range(outputs.shape[1]):
        own = labels == label
        inside = int(own.sum())
        outside = len(labels) - inside
        if not inside or not outside:
            areas.append(None)
            continue
        ranks = rankdata(outputs[:, label])[own].sum()
        areas.append(float((ranks - inside * (inside + 1) / 2) / (inside * outside)))
    return areas


def confusion(labels: np.ndarray, chosen: np.ndarray, classes: int) -> np.ndarray:
    """(true class, chosen class) -> images."""
    return np.bincount(labels * classes + chosen, minlength=classes**2).reshape(classes, classes)


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


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The mean negative log-likelihood of the labels."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1, keepdims=True)
    norm = np.log(np.exp(wide - top).sum(axis=1)) + top[:, 0]
    return float(np.mean(norm - wide[np.arange(len(labels)), labels]))
