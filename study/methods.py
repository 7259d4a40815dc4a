"""The methods, as data: sampling x loss x second phase x decision."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One way of handling imbalance. Rows that differ only in the decision share a network.

    sampling: the set a network is trained on (study/sampling.py).
    loss: what it minimises (study/engine/losses.py).
    second_phase: the sampling on which its last layers are then tuned, or None.
    decision: how its outputs become a class (study/metrics.py).
    """

    id: str
    label: str
    sampling: str = "none"
    loss: str = "cross_entropy"
    second_phase: str | None = None
    decision: str = "argmax"


METHODS: dict[str, Method] = {
    row.id: row
    for row in (
        Method("baseline", "Baseline"),
        Method("oversampling", "Oversampling", sampling="over"),
        Method("undersampling", "Undersampling", sampling="under"),
        Method(
            "two_phase_oversampling",
            "Two-phase, oversampling",
            sampling="over",
            second_phase="none",
        ),
        Method(
            "two_phase_undersampling",
            "Two-phase, undersampling",
            sampling="under",
            second_phase="none",
        ),
        Method("thresholding", "Thresholding", decision="prior"),
        Method(
            "oversampling_thresholding",
            "Oversampling + thresholding",
            sampling="over",
            decision="prior",
        ),
        Method(
            "undersampling_thresholding",
            "Undersampling + thresholding",
            sampling="under",
            decision="prior",
        ),
    )
}
