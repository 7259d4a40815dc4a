"""The recipe: everything about a training that is not its data, its net or its method."""

from typing import Annotated, Literal

from annotated_types import Ge, Le, Lt
from pydantic import SerializeAsAny, Strict

from study.engine.machine import Precision
from study.engine.rates import Rate
from study.section import NonNegative, Positive, Section, Whole


class Recipe(Section):
    """How long, how fast and by which rule the weights move.

    bias_rate: the rate of biases, as a multiple of that of weights.
    update: caffe (the rate inside the momentum buffer) or torch; they differ when the rate moves.
    second_phase_rate: what a second phase multiplies the base rate by.
    precision: how products are rounded while training (strict, tf32, bf16); evaluation is strict.
    """

    iterations: Whole
    batch: Annotated[int, Strict(), Ge(1), Le(2**16)]
    rate: SerializeAsAny[Rate]
    momentum: Annotated[float, Strict(), Ge(0), Lt(1)]
    weight_decay: NonNegative
    bias_rate: NonNegative
    update: Literal["caffe", "torch"] = "caffe"
    second_phase_rate: Positive = 0.1
    precision: Precision = "strict"
