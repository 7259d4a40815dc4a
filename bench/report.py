"""What the terminal shows of a race."""

from collections.abc import Sequence

from rich.console import Console

from bench.contenders import SCRIPT
from bench.measurement import STEP, Measurement
from bench.projection import Figures, Goal, Spread, fastest, spreads
from bench.record import Record
from bench.table import UNKNOWN, say, table
from bench.work import BATCH, CASES, NETWORKS, SECOND_PHASES, SHARED_TRAININGS, STEP_FLOP, STEPS

QUIET = 0.2
"""Cores that others may keep busy before the figures are called disturbed."""


def show_progress(console: Console, measurement: Measurement, rounds: int) -> None:
    """One measurement, as soon as it is there."""
    said = measurement.failure or f"{_number(measurement.rate)} {_units(measurement)}/s"
    console.print(f"round {measurement.round} of {rounds}: {measurement.contender}: {said}")


def show(console: Console, record: Record) -> None:
    """The whole race."""
    machine, settings = record.machine, record.settings
    card = f"{machine.gpu}, {machine.gpu_memory_gb:g} GB; " if machine.gpu else ""
    console.print(
        f"\n{machine.cpu}, {machine.cores} cores, {machine.memory_gb:g} GB; {card}"
        f"Python {machine.python}, torch {machine.torch}\n"
        f"LeNet-5, batch {BATCH}, float32, {settings.data}\n"
        f"Rounds: {settings.rounds}, of {settings.round_seconds:g} s for a contender; medians; "
        f"start and warm-up are not counted.\n"
    )
    _show_rates(console, [each for each in record.measurements if each.unit == STEP])
    _show_rates(console, [each for each in record.measurements if each.unit != STEP])
    _show_notes(console, record.measurements)
    _show_projection(console, record)
    _show_goals(console, record.goals)
    _show_disturbance(console, record.measurements)


def _show_rates(console: Console, measurements: Sequence[Measurement]) -> None:
    """Trainings, which are compared with the script, or other work."""
    rates = spreads(measurements)
    last = {each.contender: each for each in measurements}
    training = all(each.unit == STEP for each in measurements)
    rows = table(
        *("training", "network-steps/s") if training else ("other work", "per second"),
        *("min - max", "x script" if training else "of", "processes", "threads each"),
    )
    for name, each in last.items():
        own, script = rates.get(name), rates.get(SCRIPT)
        if own is None:
            rows.add_row(name, UNKNOWN)
            continue
        ratio = f"{own.median / script.median:.2f}" if script else UNKNOWN
        rows.add_row(
            name,
            *_rate(own),
            ratio if training else _units(each),
            f"{each.processes}",
            f"{each.threads}",
        )
    say(console, rows)


def _show_notes(console: Console, measurements: Sequence[Measurement]) -> None:
    """Why contenders failed, and what else is to be said of one."""
    lines = []
    for each in measurements:
        if each.failure:
            lines.append(f"{each.contender}: not measured: {each.failure}")
        elif each.note:
            lines.append(f"{each.contender}, round {each.round}: {each.note}")
    say(console, *lines)


def _show_projection(console: Console, record: Record) -> None:
    found = record.figures
    rows = table("the MNIST study on this machine", "script", "harness", "ratio")
    ratio = _fixed(found.ratio_networks)
    for label, script, ours in (
        (f"a case, {NETWORKS} networks", _lasting(found.case_script), _lasting(found.case_ours)),
        ("networks an hour", _number(found.networks_script), _number(found.networks_ours)),
        (
            f"all {CASES:,} cases, {CASES * NETWORKS:,} networks",
            _lasting(found.study_script),
            _lasting(found.study_ours),
        ),
    ):
        rows.add_row(label, script, ours, ratio)
    if found.case_script is not None or found.case_ours is not None:
        say(console, rows)
    say(console, *_remarks(found, fastest(record.measurements), record.machine.product_one))


def _remarks(found: Figures, name: str | None, product: float) -> list[str]:
    lines = []
    if found.case_script is not None:
        lines.append(
            f"Of a case the script fits {NETWORKS} networks of {STEPS:,} steps and "
            f"{SECOND_PHASES} second phases of as many; its evaluation is not counted."
        )
    if found.case_ours is not None:
        lines.append(
            f"The harness (as: {name}) fits {SHARED_TRAININGS} networks that its methods share, "
            f"and {SECOND_PHASES} second phases on features computed once; its evaluation is "
            f"counted."
        )
    if found.share_second_phase is not None:
        lines.append(f"A second phase takes {found.share_second_phase:.1%} of a training's time.")
    if found.times_floor is not None:
        lines.append(
            f"One harness process takes {found.step_ms:.1f} ms a step. The step's matrix products, "
            f"{STEP_FLOP / 1e6:.0f} MFLOP at {product:.0f} GFLOP/s, would take "
            f"{found.floor_ms:.1f} ms."
        )
    return lines


def _show_goals(console: Console, goals: Sequence[Goal]) -> None:
    rows = table("goal of the project", "asked", "measured", "verdict")
    for goal in goals:
        asked = f"{goal.sense} {goal.bound:g}"
        rows.add_row(goal.goal, asked, _fixed(goal.value), goal.verdict)
    say(console, rows)


def _show_disturbance(console: Console, measurements: Sequence[Measurement]) -> None:
    """Loops of several threads fall behind manifold where a core is not theirs alone."""
    disturbed = [each.others for each in measurements if each.others > QUIET]
    if disturbed:
        said = (
            f"DISTURBED: other programs kept up to {max(disturbed):.1f} cores busy beside "
            f"{len(disturbed)} of {len(measurements)} measurements. Ratios mean little; measure "
            f"again on a quiet machine."
        )
        say(console, said)


def _rate(own: Spread) -> tuple[str, str]:
    return _number(own.median), f"{_number(own.low)} - {_number(own.high)}"


def _units(each: Measurement) -> str:
    return each.unit if each.unit.isupper() else f"{each.unit}s"


def _number(value: float | None) -> str:
    """To a tenth where that says anything."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def _fixed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"


def _lasting(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return UNKNOWN
    for size, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"
