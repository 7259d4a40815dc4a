"""Whole sweeps: the quickstart as CI and newcomers run it, real MNIST, many fits. Slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import load
from study.schema import VOLATILE
from study.store import Store
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

MNIST = Path(os.environ.get("STUDY_DATA", ROOT.parent / "shared" / "data"))


def command(*words, program=("-m", "study.run")):
    done = subprocess.run(
        [sys.executable, *program, *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quickstart_shows_oversampling_above_the_baseline(tmp_path):
    out = command("grids/quickstart.yaml", "--results", tmp_path)
    assert "12 of 12 cases, 0 failed" in out
    records = load(tmp_path / "quickstart")
    assert len(records) == 12 * 8
    auc = records.pivot_table(index="case_id", columns="method", values="auc").mean()
    assert auc["oversampling"] > auc["baseline"]
    cells = records[records["method"].isin(["baseline", "oversampling"])]
    hard = cells[cells["rho"] == 50].groupby(["mu", "method"])["auc"].mean().unstack()
    assert (hard["oversampling"] > hard["baseline"]).all(), "in every panel at rho 50"


@pytest.mark.skipif(
    not (MNIST / "MNIST" / "raw").is_dir(), reason=f"no MNIST in {MNIST}; set STUDY_DATA"
)
def test_on_mnist_the_papers_order_shows_after_500_iterations(tmp_path):
    command(
        *("grids/mnist_step.yaml", "--small", "--data", MNIST, "--results", tmp_path),
        *("--set", "imbalance.rho=100", "--set", "imbalance.mu=0.5", "--limit", "1"),
    )
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("mnist_step-small-")
    records = load(folder).set_index("method")
    assert len(records) == 8
    assert records["auc"]["oversampling"] > records["auc"]["baseline"] > 0.95
    assert records["auc"]["oversampling"] > records["auc"]["undersampling"]
    assert records["accuracy"]["thresholding"] > records["accuracy"]["baseline"] + 0.05


def test_more_jobs_than_a_fit_takes_are_all_done(grid_file, tmp_path):
    grid = grid_file(replicates=5)
    program = (
        "import sys, study.execute.ray as ray; from study.run import main;"
        "ray.CHUNK = 2; sys.exit(main(sys.argv[1:]))"
    )
    out = command(grid, "--results", tmp_path / "chunks", program=("-c", program))
    assert "5 of 5 cases, 0 failed" in out
    command(grid, "--results", tmp_path / "whole", "--executor", "inprocess")
    tables = [Store(tmp_path / name / "tiny").read() for name in ("chunks", "whole")]
    chunks, whole = (table.drop_columns(list(VOLATILE)) for table in tables)
    assert chunks.equals(whole)


def test_the_images_are_one_copy_for_all_workers(grid_file, tmp_path):
    """What a worker holds is read-only and not its own: a view of the node's shared memory."""
    program = (
        "import sys, study.run as run\n"
        "from study.execute import Work\n"
        "from study.results import Results\n"
        "class Tell(Work):\n"
        "    def do(self, job, means, keeper):\n"
        "        flags = [a.flags for s in (self.dataset.pool, self.dataset.test)"
        " for a in (s.images, s.labels)]\n"
        "        own = any(f.owndata or f.writeable for f in flags)\n"
        "        return Results(job.id, [], {}, ('owned' if own else 'shared',))\n"
        "run.Work = Tell\n"
        "sys.exit(run.main(sys.argv[1:]))\n"
    )
    out = command(grid_file(), "--results", tmp_path, "--workers", "2", program=("-c", program))
    assert out.count("shared") == 6, "a job for each training from fresh weights"
    assert "owned" not in out
