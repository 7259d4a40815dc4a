"""Means: on what and how networks are computed; never part of what they are."""

from dataclasses import dataclass

from study.engine.machine import Precision
from study.errors import UserError

MOST = 128
"""Networks in a pack at most, unless more are asked for: a card has enough to do long before."""


@dataclass(frozen=True)
class Means:
    """The device, networks in a pack, the formulation and the threads that read images from disk;
    None where the machine is to choose. And the seconds between checkpoints of a training.
    """

    device: str
    pack: int | None = None
    formulation: str | None = None
    loaders: int | None = None
    checkpoint: float = 600.0

    @property
    def most(self) -> int:
        """Networks in a pack at most. On a CPU one: packing buys nothing there."""
        return self.pack or (MOST if self.device == "cuda" else 1)

    def check(self, precision: Precision, source: str) -> None:
        """Refuse what a CPU does not have; `source` is the grid that asks for the precision."""
        if self.device != "cpu":
            return
        if precision == "tf32":
            raise UserError(
                f"{source}: recipe.precision: found tf32, which needs a CUDA device; allowed on a "
                f"CPU: strict, bf16"
            )
        if self.formulation == "triton":
            raise UserError("--formulation triton: needs a CUDA device; on a CPU any other")
