"""Time limits against a sum by hand, and what is said of a job that ran past one."""

import pytest

from study import limits
from study.estimate import Pace
from tests.conftest import job_of, tiny_grid

PACE = Pace(step=0.5, second_step=0.25, image=1e-3)


def test_the_limit_is_ten_minutes_and_ten_times_what_the_job_takes():
    grid = tiny_grid(
        methods=["baseline", "two_phase_oversampling"], recipe={"iterations": 40}, replicates=3
    )
    once = 2 * 40 * 0.5 + 40 * 0.25  # two nets from fresh weights, a second phase
    judged = 4 * 10 + (30 + 30 + 3 + 3)  # the test set, and the case's own images
    looked = (2 + (not grid.net.still)) * judged * 1e-3
    assert limits.limit(job_of(grid), grid, PACE) == pytest.approx(600 + 10 * (once + looked))
    assert limits.limit(job_of(grid, 0, 2), grid, PACE) == pytest.approx(
        600 + 20 * (once + looked)
    ), "a job of two cases takes twice as long"


def test_without_a_pace_the_floor_is_all_there_is():
    grid = tiny_grid(recipe={"iterations": 10**6})
    assert limits.limit(job_of(grid), grid, None) == 600


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(6, "0.1 min"), (600, "10 min"), (4000, "67 min"), (10**7, "166,667 min")],
)
def test_the_words_name_the_limit_and_the_option(seconds, shown):
    assert f"time limit of {shown};" in limits.over(seconds)
    assert "--job-minutes" in limits.over(seconds)
