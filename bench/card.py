"""A card in numbers, and what share of them a training is assumed to reach."""

from dataclasses import dataclass, field

from study.engine.machine import Precision

TERA = 1e12


@dataclass(frozen=True)
class Peak:
    """The most a card computes, in 10^12 operations a second, and the bytes of a number that
    travels between layers.
    """

    tera: float
    number: int


PEAKS: dict[Precision, Peak] = {
    "strict": Peak(67, 4),
    "tf32": Peak(494, 4),
    "bf16": Peak(989, 2),
}
"""NVIDIA's data sheet of the H200, the SXM module: float32 without tensor cores; TF32 and bfloat16
on tensor cores, dense. The data sheet gives the latter two with sparsity, twice as much."""

MEMORY, BANDWIDTH = 141.0, 4.8
"""GB, and 10^12 bytes a second, by the same data sheet."""

IMAGES_A_CORE = 300.0
"""Photographs a second that a core reads, decodes and crops: about what `python -m bench.stream`
finds on an AMD EPYC with AVX-512; its files are like ImageNet's, in the page cache."""


@dataclass(frozen=True)
class Card:
    """A card and the cores beside it, as assumed.

    share, bandwidth_share: what part of the peaks a training reaches.
    cores: that read images for this card.
    """

    tera: dict[Precision, float] = field(
        default_factory=lambda: {name: peak.tera for name, peak in PEAKS.items()}
    )
    share: float = 0.4
    bandwidth: float = BANDWIDTH
    bandwidth_share: float = 0.6
    memory: float = MEMORY
    images_a_core: float = IMAGES_A_CORE
    cores: int = 16

    def computing(self, flop: float, precision: Precision) -> float:
        """Seconds for so many operations."""
        return flop / (self.tera[precision] * TERA * self.share)

    def moving(self, numbers: float, weights: float, precision: Precision) -> float:
        """Seconds for so many numbers between layers, and of weights, to be read or written."""
        moved = numbers * PEAKS[precision].number + weights * PEAKS["strict"].number
        return moved / (self.bandwidth * TERA * self.bandwidth_share)

    def reading(self, images: float) -> float:
        """Seconds for so many images to be read from disk."""
        return images / (self.images_a_core * self.cores)
