"""The whole road on real digits: a grid in, records, the paper's ordering, and its figures out."""

import numpy as np
import pytest
import yaml

from analysis import load
from analysis.figures import main as draw
from study.run import main
from tests.conftest import raw_grid

DIGITS = {"name": "digits", "train_per_class": 100, "test_per_class": 70}


@pytest.fixture
def run(tmp_path):
    def go(raw):
        path = tmp_path / f"{raw['name']}.yaml"
        path.write_text(yaml.safe_dump(raw))
        words = ["--executor", "inprocess", "--results", str(tmp_path / "results")]
        assert main([str(path), *words]) == 0
        return tmp_path / "results"

    return go


@pytest.mark.slow
def test_on_real_digits_oversampling_beats_the_baseline_at_rho_60(run):
    """The paper's central finding, on 30 to 600 images a case: paired by case, three draws."""
    grid = raw_grid(
        name="case_study",
        dataset=DIGITS,
        imbalance={"rho": [60], "mu": [0.5]},
        methods=["baseline", "oversampling", "thresholding"],
        replicates=3,
        recipe={"iterations": 150, "batch": 64},
        seed=2018,
    )
    records = load(run(grid) / "case_study")
    auc = records.pivot_table(index="case_id", columns="method", values="auc")
    assert len(auc) == 3
    gain = auc["oversampling"] - auc["baseline"]
    assert gain.mean() > 0.005
    accuracy = records.groupby("method")["accuracy"].mean()
    assert accuracy["thresholding"] > accuracy["baseline"]
    for counts in records["class_counts"]:
        assert sorted(counts) == [2] * 5 + [100] * 5


def test_every_figure_is_drawn_from_a_tiny_real_run(run, capsys):
    step = raw_grid(name="step", imbalance={"rho": [2, 10], "mu": [0.25, 0.5, 0.75]})
    linear = raw_grid(name="linear", imbalance={"kind": "linear", "rho": [2, 10]})
    run(step)
    results = run(linear)
    capsys.readouterr()
    assert draw(["--results", str(results)]) == 0
    drawn = {path.relative_to(results / "figures").as_posix() for path in results.rglob("*.png")}
    both = ("fig1", "recall", "scatter")
    assert drawn == {
        *(f"step/{id}.png" for id in (*both, "fig3", "fig4", "fig6", "table4")),
        *("step/ranks_auc.png", "step/ranks_accuracy.png"),
        *(f"linear/{id}.png" for id in (*both, "fig5")),
    }
    assert "linear/fig3: nothing to draw" in capsys.readouterr().out


def test_records_of_a_sweep_half_done_are_read_and_drawn(run):
    results = run(raw_grid(name="part", replicates=1, methods=["baseline"]))
    records = load(results / "part")
    assert len(records) == 1
    assert np.isfinite(records["auc"]).all()
    assert draw(["--results", str(results)]) == 0
