"""Results as many as the whole MNIST study's: read, drawn, judged and reported within bounds."""

import resource
import subprocess
import sys
import time

import pytest

from analysis import load
from tests.conftest import ROOT
from tests.full_size import IN_ALL, write

pytestmark = pytest.mark.alone

SECONDS, KILOBYTES = 60, 2 * 1024**2


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full") / "results"
    write(folder)
    return folder


def test_the_frame_is_whole(results):
    records = load(results, ["method", "auc"])
    assert len(records) == IN_ALL == 36_000
    assert records["record_id"].is_unique


def test_it_is_reported_in_a_minute_and_two_gigabytes(results, tmp_path):
    """The report reads the records, draws every figure and judges every claim."""
    begun = time.monotonic()
    words = ("-m", "analysis.report", "--results", results, "--out", tmp_path / "report.html")
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=True, timeout=300)
    assert time.monotonic() - begun < SECONDS
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < KILOBYTES
    assert (tmp_path / "report.html").stat().st_size < 40e6
