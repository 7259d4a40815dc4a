"""Time limits against a sum by hand, and what is said of a job that ran past one."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from study import limits
from study.estimate import Pace
from study.execute import Work
from tests.conftest import job_of, tiny_grid

PACE = Pace(step=0.5, second_step=0.25, image=1e-3)


def work_of(grid):
    return Work(grid, grid.dataset.dataset(Path("data"), grid.seed), None, "")


def test_the_limit_is_ten_minutes_and_ten_times_what_the_job_takes():
    grid = tiny_grid(
        methods=["baseline", "two_phase_oversampling"], recipe={"iterations": 40}, replicates=3
    )
    once = 2 * 40 * 0.5 + 40 * 0.25  # two nets from fresh weights, a second phase
    judged = 4 * 10 + (30 + 30 + 3 + 3)  # the test set, and the case's own images
    looked = (2 + (not grid.net.still)) * judged * 1e-3
    work = work_of(grid)
    assert limits.limit(job_of(grid), work, PACE) == pytest.approx(600 + 10 * (once + looked))
    assert limits.limit(job_of(grid, 0, 2), work, PACE) == pytest.approx(
        600 + 20 * (once + looked)
    ), "a job of two cases takes twice as long"


def test_a_job_that_has_half_of_a_card_has_twice_the_time():
    work = work_of(tiny_grid())
    whole, half = (limits.limit(job_of(work.grid), work, PACE, share) for share in (1, 0.5))
    assert half - 600 == pytest.approx(2 * (whole - 600))


def test_images_that_the_grid_does_not_count_are_counted():
    """Those that are there, whatever number of them the grid says, or leaves out."""
    grid = tiny_grid(methods=["baseline"])
    own = work_of(grid).dataset
    work = Work(grid, replace(own, test=own.pool), None, "")
    case = job_of(grid).dues[0].case
    images = len(own.pool) + sum(case.roles(own.pool.counts(grid.form.classes)).counts)
    took = grid.recipe.iterations * PACE.step + images * PACE.image
    assert limits.limit(job_of(grid), work, PACE) == pytest.approx(600 + 10 * took)


def test_where_nobody_can_tell_a_job_has_a_week():
    work = work_of(tiny_grid())
    assert limits.limit(job_of(work.grid), work, None) == 7 * 86_400
    pictures = SimpleNamespace(reads=True)
    assert limits.limit(job_of(work.grid), pictures, PACE) == 7 * 86_400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(6, "0.1 min"), (600, "10 min"), (4000, "67 min"), (10**7, "166,667 min")],
)
def test_the_words_name_the_limit_and_the_option(seconds, shown):
    assert f"time limit of {shown};" in limits.over(seconds)
    assert "--job-minutes" in limits.over(seconds)
