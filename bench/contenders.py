"""Who takes part, by name, and who does so on which device."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.measurement import GFLOP, IMAGE, SECOND_STEP, STEP, WIDE_STEP
from bench.work import PASS, SIDE
from study.errors import UserError, nearest

SCRIPT, SCRIPT_SECOND = "script", "script, second phase"
RESIDENT, RESIDENT_ONE = "resident loop", "resident loop, 1 thread"
OURS_ONE, OURS_SECOND = "harness, one process", "harness, second phase"
OURS_IMAGES = "harness, evaluation"
SGEMM, SGEMM_ONE = "matrix product", "matrix product, 1 thread"

ALONE, TOGETHER, TRIALS = "bench.processes:alone", "bench.processes:together", "bench.tune:trials"
REHEARSED = "bench.harness:rehearsed"

WAYS = ("plain", "grouped", "planes", "im2col", "triton", "compiled")
"""The harness's formulations (study/engine/formulations.py), of which a card runs the fastest."""

A_CORE = 0
"""As a number of processes: one for each core that may be used."""


@dataclass(frozen=True)
class Contender:
    """A row of the table.

    build: module:function, Start -> Advance; imported only in the contender's own process.
    unit, size: what a step of `Advance` is counted as, and how much of it.
    race: module:function, how it is run for so many seconds; see bench.processes.
    threads: of each process; None is torch's own default.
    networks: that each process advances at once.
    way: of the harness's packs, the formulation.
    share: of the seconds of a round; what is steady needs fewer.
    """

    name: str
    build: str
    unit: str = STEP
    size: float = 1.0
    race: str = ALONE
    processes: int = 1
    threads: int | None = None
    networks: int = 1
    way: str = "plain"
    share: float = 1.0
    ours: bool = False


def _packs(name: str, build: str) -> list[Contender]:
    return [Contender(f"{name}, {k} networks", build, networks=k) for k in (2, 8, 32, 128)]


def _harness(name: str, build: str, unit: str, size: float, share: float) -> Contender:
    """A process a core, a thread each, all at once."""
    return Contender(name, build, unit, size, TOGETHER, A_CORE, 1, share=share, ours=True)


def _pack(way: str, networks: int, unit: str = STEP, net: str = "lenet5") -> Contender:
    """A pack of the harness's, by one of its formulations."""
    names = {STEP: "", SECOND_STEP: "second phase, ", IMAGE: "evaluation, ", WIDE_STEP: "All-CNN, "}
    return Contender(
        f"harness, {names[unit]}{way}, {networks} networks",
        f"study.nets.{net}:{net}",
        unit,
        race=REHEARSED,
        networks=networks,
        way=way,
        ours=True,
    )


PACKS = (
    *(_pack(way, networks) for way in WAYS for networks in (1, 8, 32, 128)),
    _pack("plain", 32, SECOND_STEP),
    _pack("plain", 32, IMAGE),
    *(_pack(way, networks, WIDE_STEP, "allcnn") for way in WAYS for networks in (1, 8)),
)

TABLE = {
    row.name: row
    for row in (
        Contender(SCRIPT, "bench.script:plain"),
        Contender("script, 2 loader workers", "bench.script:two_loader_workers"),
        Contender(RESIDENT, "bench.resident:plain"),
        Contender(RESIDENT_ONE, "bench.resident:plain", threads=1),
        Contender("resident loop, 8 processes", "bench.resident:plain", race=TOGETHER, processes=8),
        Contender("Ray Tune, a trial a training", "bench.resident:plain", race=TRIALS),
        Contender("CUDA graph", "bench.graph:single"),
        *_packs("grouped", "bench.packed:grouped"),
        *_packs("vmap", "bench.packed:vmapped"),
        *_packs("vmap compiled", "bench.packed:vmapped_compiled"),
        _harness("harness", "bench.harness:training", STEP, 1, share=1),
        Contender(OURS_ONE, "bench.harness:training", threads=1, ours=True),
        *PACKS,
        Contender(SCRIPT_SECOND, "bench.script:second_phase", SECOND_STEP, share=0.5),
        _harness(OURS_SECOND, "bench.harness:second_phase", SECOND_STEP, 1, share=0.25),
        _harness(OURS_IMAGES, "bench.harness:evaluation", IMAGE, PASS, share=0.25),
        Contender(SGEMM, "bench.product:square", GFLOP, 2e-9 * SIDE**3, share=0.25),
        Contender(SGEMM_ONE, "bench.product:square", GFLOP, 2e-9 * SIDE**3, threads=1, share=0.25),
    )
}

LINE_UP = {
    "cpu": (
        SCRIPT,
        "script, 2 loader workers",
        RESIDENT,
        RESIDENT_ONE,
        "Ray Tune, a trial a training",
        "grouped, 8 networks",
        "vmap, 8 networks",
        "harness",
        OURS_ONE,
        SCRIPT_SECOND,
        OURS_SECOND,
        OURS_IMAGES,
        SGEMM,
        SGEMM_ONE,
    ),
    "cuda": (
        SCRIPT,
        "script, 2 loader workers",
        RESIDENT,
        "resident loop, 8 processes",
        "CUDA graph",
        *(
            f"{name}, {networks} networks"
            for name in ("grouped", "vmap", "vmap compiled")
            for networks in (8, 32, 128)
        ),
        *(row.name for row in PACKS),
        SCRIPT_SECOND,
        SGEMM,
    ),
}
"""Who is raced on a device without being asked for by name."""


def chosen(device: str, only: Sequence[str]) -> list[Contender]:
    """The line-up of a device; or, of it, those whose name contains one of these texts. Any other
    row of the table is had by its full name.
    """
    names = list(LINE_UP[device])
    if only:
        for text in only:
            if text not in TABLE and not any(text in name for name in names):
                raise UserError(
                    f"--only {text}: no contender's name contains it{nearest(text, TABLE)}\n"
                    f"there: {'; '.join(names)}"
                )
        full = [text for text in only if text in TABLE]
        names = [
            name
            for name in TABLE
            if name in full
            or (name in names and any(text in name for text in only if text not in full))
        ]
    return [TABLE[name] for name in names]
