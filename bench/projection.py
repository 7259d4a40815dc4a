"""From rates to what they mean: networks an hour, the whole study, the goals of the project."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contenders import (
    OURS_ONE,
    RESIDENT,
    RESIDENT_ONE,
    SCRIPT,
    SCRIPT_SECOND,
    SGEMM_ONE,
)
from bench.measurement import IMAGE, SECOND_STEP, STEP, Measurement
from bench.work import (
    CASE_IMAGES,
    CASES,
    NETWORKS,
    SECOND_PHASES,
    SHARED_TRAININGS,
    STEP_FLOP,
    STEPS,
    TEST_IMAGES,
)


@dataclass(frozen=True)
class Spread:
    """A contender's rate over the rounds, in units a second."""

    median: float
    low: float
    high: float


def spreads(measurements: Iterable[Measurement]) -> dict[str, Spread]:
    """By name, of those that did not fail."""
    rates: dict[str, list[float]] = defaultdict(list)
    for each in measurements:
        if not each.failure:
            rates[each.contender].append(each.rate)
    return {name: Spread(median(own), min(own), max(own)) for name, own in rates.items()}


def fastest(measurements: Sequence[Measurement], unit: str = STEP) -> str | None:
    """The name of the harness's fastest way to do such work on the whole of the machine."""
    ours = (each for each in measurements if each.ours and each.unit == unit)
    rates = spreads(each for each in ours if each.contender != OURS_ONE)
    return max(rates, key=lambda name: rates[name].median, default=None)


@dataclass(frozen=True)
class Figures:
    """What follows from the rates; None where a rate that it needs was not measured.

    ratio_script, ratio_resident: network-steps of the harness for each of theirs.
    share_one_thread: the time of a step of one harness process, one thread, over that of the
    default-layout loop on one thread. share_second_phase: of a second phase's time in a training's.
    times_floor: the same process's step over floor_ms, what its matrix products alone would take.
    case_*: seconds of a case. networks_*: networks an hour, `NETWORKS` a case.
    """

    ratio_script: float | None
    ratio_resident: float | None
    share_one_thread: float | None
    share_second_phase: float | None
    step_ms: float | None
    floor_ms: float | None
    times_floor: float | None
    step_us: float | None
    case_script: float | None
    case_ours: float | None
    networks_script: float | None
    networks_ours: float | None
    ratio_networks: float | None
    study_script: float | None
    study_ours: float | None


def figures(measurements: Sequence[Measurement]) -> Figures:
    """Of one machine's measurements, medians over rounds; the floor from the best of them."""
    found = spreads(measurements)
    rates = {name: own.median for name, own in found.items()}
    product = found[SGEMM_ONE].high if SGEMM_ONE in found else None
    ours, second, shown = (
        rates.get(fastest(measurements, unit) or "") for unit in (STEP, SECOND_STEP, IMAGE)
    )
    script, one = rates.get(SCRIPT), rates.get(OURS_ONE)
    step, floor = _over(1e3, one), _over(STEP_FLOP / 1e6, product)
    case_script = _sum(
        _over(NETWORKS * STEPS, script), _over(SECOND_PHASES * STEPS, rates.get(SCRIPT_SECOND))
    )
    case_ours = _sum(
        _over(SHARED_TRAININGS * STEPS, ours),
        _over(SECOND_PHASES * STEPS, second),
        _over(SHARED_TRAININGS * (TEST_IMAGES + CASE_IMAGES), shown),
    )
    return Figures(
        ratio_script=_over(ours, script),
        ratio_resident=_over(ours, rates.get(RESIDENT)),
        share_one_thread=_over(rates.get(RESIDENT_ONE), one),
        share_second_phase=_over(ours, second),
        step_ms=step,
        floor_ms=floor,
        times_floor=_over(step, floor),
        step_us=_over(1e6, ours),
        case_script=case_script,
        case_ours=case_ours,
        networks_script=_over(NETWORKS * 3600, case_script),
        networks_ours=_over(NETWORKS * 3600, case_ours),
        ratio_networks=_over(case_script, case_ours),
        study_script=_over(case_script, 1 / CASES),
        study_ours=_over(case_ours, 1 / CASES),
    )


def _over(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


@dataclass(frozen=True)
class Goal:
    """A goal of the project, and how far it was reached; `value` None: not measured."""

    goal: str
    sense: str
    bound: float
    value: float | None

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.value is None:
            return "not measured"
        met = self.value >= self.bound if self.sense == ">=" else self.value <= self.bound
        return "met" if met else "missed"


GOALS = (
    ("network-steps of the script's, times", "ratio_script", ">=", 2.0, ("cpu", "cuda")),
    ("network-steps of the resident loop's, times", "ratio_resident", ">=", 1.5, ("cpu", "cuda")),
    ("one thread: time of the resident loop's step", "share_one_thread", "<=", 0.75, ("cpu",)),
    ("one thread: the same, ambition", "share_one_thread", "<=", 0.5, ("cpu",)),
    ("one thread: times the floor of matrix products", "times_floor", "<=", 1.4, ("cpu",)),
    ("microseconds a network-step", "step_us", "<=", 26.0, ("cuda",)),
    ("networks an hour, times the script's", "ratio_networks", ">=", 3.3, ("cpu", "cuda")),
    ("second phase, share of a training", "share_second_phase", "<=", 0.08, ("cpu", "cuda")),
    ("whole MNIST study, seconds", "study_ours", "<=", 3600.0, ("cuda",)),
)
"""(goal, figure, sense, bound, devices)."""


def goals(found: Figures, device: str) -> list[Goal]:
    """The goals that are set for a device."""
    return [
        Goal(text, sense, bound, getattr(found, figure))
        for text, figure, sense, bound, devices in GOALS
        if device in devices
    ]
