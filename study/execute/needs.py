"""What a job needs of the machine it runs on, and how many jobs a cluster holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from study.errors import UserError
from study.execute import Place


@dataclass(frozen=True)
class Machine:
    """A node of a cluster: its id, and what it has: CPU, GPU and memory by these names."""

    id: str
    has: Mapping[str, float]

    def many(self, kind: str) -> float:
        """How many of these it has."""
        return self.has.get(kind, 0.0)


@dataclass(frozen=True)
class Needs:
    """Cores, cards (or a share of one) and, where it is known, the bytes of memory of a job; and
    the nodes that are not for it.
    """

    cores: float
    cards: float
    memory: int = 0
    avoids: tuple[str, ...] = ()

    def bundle(self) -> dict[str, float]:
        """As Ray Tune wants to hear it."""
        asked = {"CPU": self.cores, "GPU": self.cards, "memory": float(self.memory)}
        return {kind: number for kind, number in asked.items() if number}

    def labels(self) -> dict[str, str]:
        """The nodes it may run on, by their labels."""
        return {"ray.io/node-id": f"!in({', '.join(self.avoids)})"} if self.avoids else {}


def suited(place: Place, machines: Sequence[Machine]) -> list[Machine]:
    """The nodes for jobs of this device: those with a card are for jobs that use one, unless there
    are no others.
    """
    if _kind(place) == "GPU":
        return [machine for machine in machines if machine.many("GPU")]
    plain = [machine for machine in machines if machine.many("CPU") and not machine.many("GPU")]
    return plain or [machine for machine in machines if machine.many("CPU")]


def workers(place: Place, machines: Sequence[Machine]) -> int:
    """How many jobs the cluster can hold at a time."""
    kind = _kind(place)
    return place.workers or int(sum(m.many(kind) for m in suited(place, machines))) or 1


def needs(place: Place, machines: Sequence[Machine], reads: bool) -> Needs:
    """What each job asks for: a card or its share of one, and a core. On a cluster of others one
    that reads its images from disk asks for as many cores as it reads with: those it names, else
    its share of the machine that has fewest for it.
    """
    kind, able, jobs = _kind(place), suited(place, machines), workers(place, machines)
    total = sum(machine.many(kind) for machine in able)
    cards = 1.0 / max(1, ceil(jobs / total)) if kind == "GPU" and total else float(kind == "GPU")
    others = (m.id for m in machines if m not in able and m.many("GPU")) if able else ()
    asks = Needs(1.0, cards, avoids=tuple(sorted(others)))
    if not (reads and place.address and able):
        return asks
    most = max(machine.many("CPU") for machine in able)
    if (asked := place.means.loaders or 0) > most:
        raise UserError(
            f"--loaders {asked}: no node of the cluster that could take a job has so many cores; "
            f"allowed: 1 to {most:.0f}"
        )
    share = min(m.many("CPU") // max(1, ceil(jobs * m.many(kind) / total)) for m in able)
    return replace(asks, cores=float(asked or max(1, share)))


def _kind(place: Place) -> str:
    return "GPU" if place.means.device == "cuda" else "CPU"
