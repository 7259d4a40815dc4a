"""Records computed anew: which of those stored, and what comes of them today."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from study.engine.means import Means
from study.errors import OWN, UserError, failure
from study.grid import Grid
from study.job import run_job
from study.plan import Due, Row, gather, merged
from study.results import Record
from study.revision import code_version
from study.run import check_enough, load
from study.schema import SCHEMA

Planned = tuple[Due, Row]
"""A record as a grid plans it: its case, and what it is of that."""


def named(words: Sequence[str], there: Sequence[Planned]) -> list[Planned]:
    """The records of which the id, the case's or the training's begins with one of the words."""
    for word in words:
        if not any(begins(word, *one) for one in there):
            raise UserError(
                f"--only {word}: no record stored here that grid.yaml plans has an id, a case or a "
                f"training that begins so"
            )
    return [one for one in there if any(begins(word, *one) for word in words)]


def begins(word: str, due: Due, row: Row) -> bool:
    """Whether a record has an id that begins so."""
    return any(id.startswith(word) for id in (row.id, due.case.id, row.training.id))


def drawn(number: int, seed: int, there: Sequence[Planned]) -> list[Planned]:
    """The records of trainings at random, of each training all, until there are so many."""
    trainings: dict[str, list[Planned]] = defaultdict(list)
    for one in there:
        trainings[one[1].training.id].append(one)
    order = random.Random(seed).sample(sorted(trainings), len(trainings))
    chosen: list[Planned] = []
    while order and len(chosen) < number:
        chosen += trainings[order.pop()]
    return chosen


def recompute(
    chosen: Sequence[Planned], grid: Grid, data: Path, means: Means
) -> Iterator[tuple[str, Record | str]]:
    """Each record computed anew, or why it could not be; what they share is trained once."""
    dues = merged([Due(due.case, (row,)) for due, row in chosen])
    code = code_version()
    in_order = sorted(dues, key=lambda due: due.case.split or 0)
    for split, some in groupby(in_order, key=lambda due: due.case.split):
        own = list(some)
        dataset = load(grid, data, split)
        check_enough(own, dataset)
        for job in gather(own, means.most, workers=1):
            ids = [row.id for due in job.dues for row in due.rows]
            try:
                made = run_job(job, grid, dataset, means, code).records
            except UserError:
                raise
            except OWN as error:
                yield from ((id, failure(error)) for id in ids)
                continue
            for record in pa.Table.from_pylist(made, schema=SCHEMA).to_pylist():
                yield record["record_id"], record
