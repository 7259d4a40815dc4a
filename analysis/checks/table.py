"""The paper's conclusions, C1 to C14, in their order."""

from analysis.checks import on_imbalance, on_methods, on_training

CLAIMS = tuple(
    sorted(
        (*on_imbalance.CLAIMS, *on_methods.CLAIMS, *on_training.CLAIMS),
        key=lambda claim: int(claim.id[1:]),
    )
)
