"""One job from start to records, against scikit-learn and against itself in other company."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, roc_auc_score

from study.job import run_job
from study.metrics import softmax
from study.plan import plan
from study.schema import SCHEMA
from tests.conftest import tiny_grid


@pytest.fixture(scope="module")
def grid():
    return tiny_grid(methods="all", predictions=True, recipe={"iterations": 30})


@pytest.fixture(scope="module")
def dataset(grid, tmp_path_factory):
    return grid.dataset.dataset(tmp_path_factory.mktemp("data"), grid.seed)


@pytest.fixture(scope="module")
def results(grid, dataset):
    return run_job(plan(grid)[0], grid, dataset, "cpu", "test")


def test_a_record_fills_every_column_of_the_schema(results):
    assert [r["method"] for r in results.records] == list(tiny_grid(methods="all").methods)
    for record in results.records:
        assert set(record) == set(SCHEMA.names)


def test_the_numbers_are_scikit_learns(results, dataset):
    labels = dataset.test.labels
    assert (results.predictions["labels"] == labels).all()
    for record in results.records:
        # float16 keeps three digits: enough to recognise the network, not its last ranks
        logits = results.predictions[record["training_id"]].astype(np.float64)
        outputs = softmax(logits)
        auc = roc_auc_score(labels, outputs, multi_class="ovr", average="macro")
        assert record["auc"] == pytest.approx(auc, abs=0.01)
        assert record["auc"] == pytest.approx(np.mean(record["auc_per_class"]), abs=1e-15)
        if record["decision"] == "prior":
            outputs = outputs / (np.array(record["class_counts"]) / sum(record["class_counts"]))
        chosen = outputs.argmax(axis=1)
        assert record["accuracy"] == pytest.approx(accuracy_score(labels, chosen), abs=0.03)
        assert np.abs(np.array(record["confusion"]) - confusion_matrix(labels, chosen)).sum() <= 2
        assert 0 <= record["auc"] <= 1
        assert 0 <= record["accuracy"] <= 1


def test_methods_that_differ_in_the_decision_share_a_network(results):
    by = {record["method"]: record for record in results.records}
    for plain, thresholded in (
        ("baseline", "thresholding"),
        ("oversampling", "oversampling_thresholding"),
        ("undersampling", "undersampling_thresholding"),
    ):
        assert by[plain]["training_id"] == by[thresholded]["training_id"]
        assert by[plain]["auc"] == by[thresholded]["auc"], "thresholding changes no AUC"
        assert by[plain]["auc_per_class"] == by[thresholded]["auc_per_class"]
        assert by[plain]["train_loss"] == by[thresholded]["train_loss"]
    assert len({record["training_id"] for record in results.records}) == 5


def test_train_numbers_are_those_of_the_cases_own_images(grid, dataset):
    """Oracle: the baseline's own logits on the imbalanced set, judged by scikit-learn."""
    from study import job as module

    job = plan(grid)[0]
    roles = job.case.roles(dataset.pool.counts(4))
    members = job.case.draw(dataset.pool.labels, roles)
    assert dataset.pool.at(members).counts(4) == roles.counts
    fitted = module._fit_all(job, grid, dataset, members, "cpu")
    labels = dataset.pool.labels[members]
    for record in run_job(job, grid, dataset, "cpu", "test").records:
        logits = fitted[record["training_id"]].train
        assert record["train_loss"] == pytest.approx(log_loss(labels, softmax(logits)), rel=1e-9)
        if record["decision"] == "argmax":
            right = accuracy_score(labels, logits.argmax(axis=1))
            assert record["train_accuracy"] == pytest.approx(right)


def test_a_second_phase_changes_the_network_and_counts_its_own_seconds(results):
    by = {record["method"]: record for record in results.records}
    for first in ("oversampling", "undersampling"):
        before = results.predictions[by[first]["training_id"]]
        after = results.predictions[by[f"two_phase_{first}"]["training_id"]]
        assert not np.array_equal(before, after)
        assert by[f"two_phase_{first}"]["seconds"] < by[first]["seconds"]


def test_a_training_is_the_same_bits_whatever_ran_before_it(grid, dataset, results):
    jobs = plan(grid)
    np.random.seed(3)
    run_job(jobs[1], grid, dataset, "cpu", "test")
    again = run_job(jobs[0], grid, dataset, "cpu", "test")
    for name, logits in results.predictions.items():
        assert np.array_equal(logits, again.predictions[name])


def test_a_training_is_the_same_bits_when_its_job_holds_less(grid, dataset, results):
    for method in ("two_phase_undersampling", "oversampling_thresholding"):
        alone = tiny_grid(methods=[method], recipe={"iterations": 30})
        record = run_job(plan(alone)[0], alone, dataset, "cpu", "test").records[0]
        whole = next(r for r in results.records if r["method"] == method)
        for column in ("record_id", "training_id", "auc", "confusion", "train_loss"):
            assert record[column] == whole[column]


def test_a_network_that_diverges_is_a_result(dataset):
    wild = tiny_grid(
        methods="all", recipe={"rate": {"policy": "fixed", "base": 1e9}, "iterations": 50}
    )
    for record in run_job(plan(wild)[0], wild, dataset, "cpu", "test").records:
        assert record["status"] == "diverged"
        for column in ("auc", "accuracy", "auc_per_class", "recall_per_class", "confusion"):
            assert record[column] is None
        assert record["train_accuracy"] is None
        assert record["train_loss"] is None


def test_linear_imbalance_runs_too(dataset):
    linear = tiny_grid(imbalance={"kind": "linear", "rho": [10]}, methods="all")
    for record in run_job(plan(linear)[0], linear, dataset, "cpu", "test").records:
        assert sorted(record["class_counts"]) == [3, 12, 21, 30]
        assert record["mu"] is record["minority"] is record["n_minority"] is None


def test_the_natural_profile_takes_every_image(tmp_path):
    source = {"name": "synthetic", "size": 16, "classes": 4, "train_images": 20, "test_images": 9}
    natural = tiny_grid(methods="all", imbalance={"kind": "natural"}, dataset=source)
    whole = natural.dataset.dataset(tmp_path, natural.seed)
    assert len(whole.test) == 36
    for record in run_job(plan(natural)[0], natural, whole, "cpu", "test").records:
        assert record["class_counts"] == [20] * 4
        assert record["rho"] is record["mu"] is None
