"""One job from start to records, against scikit-learn and against itself in other company."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, roc_auc_score

from study import seeds
from study.checkpoints import Checkpoints, Nowhere
from study.job import run_job
from study.methods import METHODS
from study.metrics import softmax
from study.nets import NETS
from study.packs import Network, Trainer
from study.plan import plan
from study.sampling import SAMPLINGS
from study.schema import SCHEMA, VOLATILE
from tests.conftest import CPU, job_of, tiny_grid


@pytest.fixture(scope="module")
def grid():
    return tiny_grid(methods="all", predictions=True, recipe={"iterations": 30})


@pytest.fixture(scope="module")
def dataset(grid, tmp_path_factory):
    return grid.dataset.dataset(tmp_path_factory.mktemp("data"), grid.seed)


@pytest.fixture(scope="module")
def results(grid, dataset):
    return run_job(job_of(grid), grid, dataset, CPU, "test")


def fit(grid, dataset):
    """Every network of the first case, by its training, and the places of the case's images."""
    due = plan(grid)[0]
    members = due.case.draw(
        dataset.pool.labels, due.case.roles(dataset.pool.counts(grid.form.classes))
    )
    networks = [Network(due.case, training, members) for training in due.trainings]
    checkpoints = Checkpoints(Nowhere(), CPU.checkpoint, print)
    fitted = Trainer(grid, dataset, CPU, checkpoints, print).fit(networks)
    return {network.training.id: each for network, each in fitted}, members


def test_a_record_fills_every_column_of_the_schema(results):
    assert [r["method"] for r in results.records] == list(METHODS)
    for record in results.records:
        assert set(record) == set(SCHEMA.names)


def test_the_numbers_are_scikit_learns(results, dataset):
    labels = dataset.test.labels
    assert (results.predictions["labels"] == labels).all()
    for record in results.records:
        # float16 keeps three digits: enough to recognise the network, not its last ranks
        logits = results.predictions[record["training_id"]].astype(np.float64)
        outputs = softmax(torch.from_numpy(logits)).numpy()
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
    roles = plan(grid)[0].case.roles(dataset.pool.counts(4))
    fitted, members = fit(grid, dataset)
    assert dataset.pool.at(members).counts(4) == roles.counts
    labels = dataset.pool.labels[members]
    for record in run_job(job_of(grid), grid, dataset, CPU, "test").records:
        logits = fitted[record["training_id"]].train
        loss = log_loss(labels, softmax(logits).numpy())
        assert record["train_loss"] == pytest.approx(loss, rel=1e-9)
        if record["decision"] == "argmax":
            right = accuracy_score(labels, logits.argmax(1).numpy())
            assert record["train_accuracy"] == pytest.approx(right)


def test_a_second_phase_changes_the_network_and_counts_its_own_seconds(results):
    by = {record["method"]: record for record in results.records}
    for first in ("oversampling", "undersampling"):
        before = results.predictions[by[first]["training_id"]]
        after = results.predictions[by[f"two_phase_{first}"]["training_id"]]
        assert not np.array_equal(before, after)
        assert by[f"two_phase_{first}"]["seconds"] < by[first]["seconds"]


def test_a_training_is_the_same_bits_whatever_ran_before_it(grid, dataset, results):
    np.random.seed(3)
    run_job(job_of(grid, 1), grid, dataset, CPU, "test")
    again = run_job(job_of(grid), grid, dataset, CPU, "test")
    for name, logits in results.predictions.items():
        assert np.array_equal(logits, again.predictions[name])


def test_a_training_is_the_same_bits_when_its_job_holds_less(grid, dataset, results):
    for method in ("two_phase_undersampling", "oversampling_thresholding"):
        alone = tiny_grid(methods=[method], recipe={"iterations": 30})
        record = run_job(job_of(alone), alone, dataset, CPU, "test").records[0]
        whole = next(r for r in results.records if r["method"] == method)
        for column in ("record_id", "training_id", "auc", "confusion", "train_loss"):
            assert record[column] == whole[column]


def test_a_network_that_diverges_is_a_result(dataset):
    wild = tiny_grid(
        methods="all", recipe={"rate": {"policy": "fixed", "base": 1e9}, "iterations": 50}
    )
    for record in run_job(job_of(wild), wild, dataset, CPU, "test").records:
        assert record["status"] == "diverged"
        for column in ("auc", "accuracy", "auc_per_class", "recall_per_class", "confusion"):
            assert record[column] is None
        assert record["train_accuracy"] is None
        assert record["train_loss"] is None


def test_candidates_are_each_what_they_are_alone(dataset):
    """Rates that a policy may begin from, and runs: all of them in one grid, and one by one."""
    rate = {"policy": "step", "factor": 0.1, "after": [3, 6]}
    few = {"methods": ["baseline", "two_phase_oversampling"], "runs": 2}

    def records(base, **changes):
        grid = tiny_grid(recipe={"rate": {**rate, "base": base}}, **few | changes)
        return run_job(job_of(grid), grid, dataset, CPU, "test").records

    together = records([0.02, 0.002])
    order = [(r["base_rate"], r["run"], r["method"]) for r in together]
    assert order == list(product([0.02, 0.002], [0, 1], few["methods"]))
    alone = [*records(0.02), *records(0.002)]
    for one, other in zip(together, alone, strict=True):
        assert {k: v for k, v in one.items() if k not in VOLATILE} == {
            k: v for k, v in other.items() if k not in VOLATILE
        }
    assert len({r["train_loss"] for r in together}) == 8, "and no two of them are the same"


def test_a_run_starts_all_methods_of_a_case_from_its_own_weights(dataset):
    """At a rate that moves nothing they stay where they begin."""
    still = {"iterations": 1, "rate": {"policy": "linear", "base": 1e-30}}
    grid = tiny_grid(methods="all", runs=2, recipe=still)
    records = run_job(job_of(grid), grid, dataset, CPU, "test").records
    losses = [{r["train_loss"] for r in records if r["run"] == run} for run in range(2)]
    assert [len(each) for each in losses] == [1, 1]
    assert losses[0] != losses[1]


def test_linear_imbalance_runs_too(dataset):
    linear = tiny_grid(imbalance={"kind": "linear", "rho": [10]}, methods="all")
    for record in run_job(job_of(linear), linear, dataset, CPU, "test").records:
        assert sorted(record["class_counts"]) == [3, 12, 21, 30]
        assert record["mu"] is record["minority"] is record["n_minority"] is None


def test_the_natural_profile_takes_every_image(tmp_path):
    source = {"name": "synthetic", "size": 16, "classes": 4, "train_images": 20, "test_images": 9}
    natural = tiny_grid(methods="all", imbalance={"kind": "natural"}, dataset=source)
    whole = natural.dataset.dataset(tmp_path, natural.seed)
    assert len(whole.test) == 36
    for record in run_job(job_of(natural), natural, whole, CPU, "test").records:
        assert record["class_counts"] == [20] * 4
        assert record["rho"] is record["mu"] is None


def by_hand(x, w):
    """LeNet-5 in PyTorch's functions, up to the last layer and through it."""
    x = F.max_pool2d(F.conv2d(x, w[0], w[1]), 2)
    x = F.max_pool2d(F.conv2d(x, w[2], w[3]), 2)
    below = F.relu(F.linear(x.permute(0, 2, 3, 1).flatten(1), w[4], w[5]))
    return F.linear(below, w[6], w[7])


def trained_by_hand(w, learned, places, rng, base, dataset, recipe):
    """Epoch after epoch of permutations, Caffe's rule, iterations counted from 0."""
    w = [p.clone() for p in w]
    velocity = [torch.zeros_like(p) for p in w]
    epochs = 1 + recipe.iterations * recipe.batch // len(places)
    row = np.concatenate([rng.permutation(places) for _ in range(epochs)])
    for t in range(recipe.iterations):
        chosen = row[t * recipe.batch : (t + 1) * recipe.batch]
        x = torch.from_numpy(dataset.pool.images[chosen]).permute(0, 3, 1, 2).float() / 256
        leaves = [p.requires_grad_() for p in w]
        loss = F.cross_entropy(by_hand(x, leaves), torch.from_numpy(dataset.pool.labels[chosen]))
        gradients = torch.autograd.grad(loss, leaves)
        w = [p.detach() for p in w]
        for i in learned:
            rate = base * (1 + 1e-4 * t) ** -0.75 * (1 + i % 2)
            velocity[i] = 0.9 * velocity[i] + rate * (gradients[i] + 5e-4 * w[i])
            w[i] = w[i] - velocity[i]
    return w


def test_the_five_networks_of_a_case_are_those_trained_by_hand(dataset):
    """Which images, in which order, from which weights, for how long, at which rate.

    Few iterations: in float32 a maximum that is nearly tied may later fall the other way.
    """
    grid = tiny_grid(methods="all", recipe={"iterations": 12})
    due = plan(grid)[0]
    fitted, members = fit(grid, dataset)
    labels = dataset.pool.labels[members]
    net = NETS["lenet5"](grid.form)
    start = [w[0] for layer in net.initial([seeds.initial_weights(due.case.id, 0)]) for w in layer]
    test = torch.from_numpy(dataset.test.images).permute(0, 3, 1, 2).float() / 256
    ends, seen = {}, []
    for training in sorted(due.trainings, key=lambda t: t.parent is not None):
        sampled = SAMPLINGS[training.sampling](
            labels, seeds.resampling(due.case.id, training.sampling)
        )
        ends[training.id] = trained_by_hand(
            ends[training.parent.id] if training.parent else start,
            (6, 7) if training.parent else range(8),
            members[sampled],
            seeds.batch_order(training.id, 0),
            0.001 if training.parent else 0.01,
            dataset,
            grid.recipe,
        )
        logits = by_hand(test, ends[training.id]).numpy()
        np.testing.assert_allclose(fitted[training.id].judged, logits, atol=5e-6)
        seen.append(logits)
    assert len(seen) == 5
    for i, one in enumerate(seen):
        for other in seen[:i]:
            assert np.abs(one - other).max() > 1e-4, "the five differ by more than the tolerance"


HELD_OUT = {"validation_per_class": 4}


def test_validation_is_judged_on_the_images_held_out_for_it(tmp_path):
    """Oracle: scikit-learn, from the logits that the record was made of."""
    grid = tiny_grid(methods="all", dataset=HELD_OUT, recipe={"iterations": 12})
    dataset = grid.dataset.dataset(tmp_path, grid.seed)
    fitted, _ = fit(grid, dataset)
    labels = dataset.validation.labels
    assert (np.bincount(labels) == 4).all()
    for record in run_job(job_of(grid), grid, dataset, CPU, "test").records:
        judged = fitted[record["training_id"]].judged
        for part, split, logits in (
            ("validation_", dataset.validation, judged[len(dataset.test) :]),
            ("", dataset.test, judged[: len(dataset.test)]),
        ):
            outputs = softmax(logits).numpy()
            auc = roc_auc_score(split.labels, outputs, multi_class="ovr", average="macro")
            assert record[f"{part}auc"] == pytest.approx(auc, abs=1e-12)
            if record["decision"] == "prior":
                outputs = outputs / np.array(record["class_counts"])
            right = accuracy_score(split.labels, outputs.argmax(axis=1))
            assert record[f"{part}accuracy"] == pytest.approx(right, abs=1e-12)
        assert record["test_counts"] == np.bincount(dataset.test.labels).tolist()


def test_without_images_held_out_there_is_no_validation(results):
    for record in results.records:
        assert record["validation_auc"] is record["validation_accuracy"] is None


def test_a_network_that_diverges_has_no_validation_either(tmp_path):
    grid = tiny_grid(dataset=HELD_OUT, recipe={"rate": {"policy": "fixed", "base": 1e9}})
    dataset = grid.dataset.dataset(tmp_path, grid.seed)
    for record in run_job(job_of(grid), grid, dataset, CPU, "test").records:
        assert record["status"] == "diverged"
        assert record["validation_auc"] is record["validation_accuracy"] is None


@pytest.mark.parametrize("more", [{}, {"splits": 2}, {"test_per_class": 20}])
def test_no_image_is_in_two_of_pool_test_and_validation(tmp_path, more):
    """Synthetic images are all different; together they are all that there are of those taken."""
    grid = tiny_grid(dataset=HELD_OUT | more)
    published = {image.tobytes() for split in grid.dataset.load(tmp_path) for image in split.images}
    assert len(published) == 4 * (40 + 10)
    for split in range(more.get("splits", 1)):
        number = split if "splits" in more else None
        dataset = grid.dataset.dataset(tmp_path, grid.seed, number)
        parts = [{image.tobytes() for image in part.images} for part in dataset.all_three]
        assert [len(part) for part in parts] == [len(part) for part in dataset.all_three]
        assert len(set.union(*parts)) == sum(map(len, parts))
        assert set.union(*parts) <= published
        assert len(parts[2]) == 16
