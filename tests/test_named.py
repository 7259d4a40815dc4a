"""Parts of a grid by import path: what runs end to end, and every mistake told in one line."""

import os
import subprocess
import sys

import numpy as np
import pyarrow.compute as pc
import pytest
import yaml

from study.gridfile import read_grid
from study.methods import METHODS
from study.named import lookup
from study.plan import plan
from study.run import main
from study.schema import VOLATILE
from study.store import Store
from tests.conftest import ROOT, raw_grid, tiny_grid

MODULE = '''
from typing import Annotated

import numpy as np

from study.data import Source, Split
from study.engine.rates import Rate
from study.form import Form
from study.imbalance import Cell, Profile, Roles
from study.methods import Method
from study.nets import Net
from study.nets.layers import Flatten, Linear, ReLU
from study.section import OneOrMore, Ratio, Whole

number = 3


class Bars(Source):
    """Four classes: a bright bar in one of four places, under noise."""

    width: Whole = 2

    @property
    def form(self):
        return Form(height=8, width=8, channels=1, classes=4)

    def load(self, folder):
        rng = np.random.default_rng(0)
        labels = np.arange(240) % 4
        images = rng.integers(0, 60, (240, 8, 8, 1)).astype(np.uint8)
        for image, label in zip(images, labels):
            image[:, 2 * label : 2 * label + self.width] += 150
        whole = Split(images, labels)
        return whole, whole.at(labels[:0])


class Shapeless(Source):
    pass


class Loose(Bars):
    @property
    def form(self):
        return 8, 8, 1, 4


class Halves(Bars):
    @property
    def form(self):
        return Form(height=7.5, width=8, channels=1, classes=4)


class Empty(Source):
    form = Bars.form


class Clumsy(Bars):
    def load(self, folder):
        return 1 / 0


class Bare(Bars):
    def load(self, folder):
        return super().load(folder)[0].images, super().load(folder)[0].labels


class Listed(Bars):
    def load(self, folder):
        whole, none = super().load(folder)
        return Split(whole.images, whole.labels.tolist()), none


class Larger(Bars):
    def load(self, folder):
        whole, none = super().load(folder)
        return Split(whole.images.repeat(2, axis=1), whole.labels), none


class Choosy(Bars):
    def problem(self):
        return "no"


def mlp(form):
    return Net(form, (Flatten(), Linear(30), ReLU(), Linear(form.classes)), head=3)


def no_argument():
    return mlp


def two_arguments(form, width):
    return mlp(form)


def gives_none(form):
    return None


def gives_layers(form):
    return Flatten(), Linear(form.classes)


def misfit(form):
    return Net(form, (Flatten(), Linear(form.classes + 1)), head=1)


class LongTail(Profile):
    rho: Annotated[tuple[Ratio, ...], OneOrMore]

    def points(self):
        for rho in self.rho:
            yield Cell(self.kind, rho)

    @staticmethod
    def roles(cell, pool, n_max, rng):
        last = len(pool) - 1
        return Roles(tuple(int(n_max * cell.rho ** -(c / last)) for c in range(len(pool))), ())


class Pointless(Profile):
    pass


class Roleless(Profile):
    def points(self):
        yield Cell(self.kind, 2.0)


class NoCells(LongTail):
    def points(self):
        return []


class Numbers(LongTail):
    def points(self):
        return [2.0]


class Stranger(LongTail):
    def points(self):
        yield Cell("step", 2.0, 0.5)


class Lists(LongTail):
    @staticmethod
    def roles(cell, pool, n_max, rng):
        return [n_max] * len(pool)


class Short(LongTail):
    @staticmethod
    def roles(cell, pool, n_max, rng):
        return Roles((n_max,), ())


class Fractions(LongTail):
    @staticmethod
    def roles(cell, pool, n_max, rng):
        return Roles(tuple(n_max / (c + 1) for c in range(len(pool))), ())


class Nothing(LongTail):
    @staticmethod
    def roles(cell, pool, n_max, rng):
        return Roles((n_max, 0, 0, 0), ())


class Stubborn(LongTail):
    def problem(self, classes, n_max):
        return "rho", "2", "never"


class Wordy(LongTail):
    def problem(self, classes, n_max):
        return "no"


class Halving(Rate):
    every: Whole

    def at(self, base, iterations, of):
        return base * 0.5 ** (iterations // self.every)


def first_alone(labels, rng, to):
    return np.flatnonzero(labels == 0)


def half_first(labels, rng, to):
    """As many of class 0 as `to` says, and one of each other."""
    ones = [np.flatnonzero(labels == label)[0] for label in range(1, 4)]
    return np.concatenate([rng.choice(np.flatnonzero(labels == 0), int(to)), ones])


def weigh_second(counts):
    return np.array([0.0, 1.0, 0.0, 0.0])


def runner_up(logits, counts):
    return logits.topk(2).indices[:, 1]


one_class = Method("one_class", "One class", sampling="things:first_alone")
some = Method("some", "Some", sampling="things:half_first")
one_weight = Method("one_weight", "One weight", loss="things:weigh_second")
then_one = Method("then_one", "Then one class", second_phase="things:first_alone")
second = Method("second", "Runner-up", decision="things:runner_up")
halfway = Method("halfway", "Half of the way", sampling="over", to=2.0)

taken = Method("baseline", "Mine")
twin = Method("one_class", "Another")
wrong = {
    f"{field}_{name}": Method(f"{field}_{name}", "Wrong", **{field: word})
    for field in ("sampling", "loss", "second_phase", "decision")
    for name, word in (
        ("unknown", "ovr"),
        ("absent", "nowhere:over"),
        ("misspelt", "things:runner_upp"),
        ("value", "things:number"),
    )
}
globals().update(wrong)
listed = Method("listed", "Wrong", sampling=["over"])
'''

OTHERS = {
    "raises.py": "1 / 0\n",
    "broken.py": "def f(:\n",
    "lacks.py": "import surely_not_installed\n",
    "says_much.py": "raise RuntimeError('word ' * 200)\n",
    "leaves.py": "import sys\n\nsys.exit(0)\n",
    "again.py": "from things import mlp\n",
    "box/__init__.py": "",
    "box/inner.py": "from things import Bars, mlp\n",
}

BARS = {"name": "things:Bars", "train_per_class": 30, "test_per_class": 10}
TAIL = {"kind": "things:LongTail", "rho": [2, 10]}


def put(folder):
    """The modules, in a folder."""
    for name, text in {"things.py": MODULE, **OTHERS}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture(autouse=True)
def things(tmp_path, monkeypatch):
    """Modules of a user's own, where Python looks."""
    put(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if f"{name.split('.')[0]}.py" in {*OTHERS, "box.py"}]:
        del sys.modules[name]
    sys.modules.pop("things", None)


@pytest.fixture
def run(grid_file, tmp_path, capsys):
    """Runs the tiny grid, changed; gives exit code, output and errors."""

    def go(*words, **changes):
        results = ["--executor", "inprocess", "--results", str(tmp_path / "results")]
        code = main([str(grid_file(**changes)), *results, *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return go


@pytest.fixture
def records(run, tmp_path):
    """The records of the tiny grid on bars, changed, by method."""

    def go(**changes):
        code, _, err = run(**{"dataset": BARS, "model": "things:mlp", **changes})
        assert code == 0, err
        found = Store(tmp_path / "results" / "tiny").read().to_pylist()
        return {record["method"]: record for record in found} | {"all": found}

    return go


@pytest.fixture
def refused(run, tmp_path):
    """The one line by which a grid is refused; nothing is written."""

    def go(*words, **changes):
        code, out, err = run(*words, **changes)
        assert (code, out) == (2, ""), err
        (line,) = err.splitlines()
        assert "Traceback" not in line
        assert len(line) < 600
        assert not (tmp_path / "results").exists()
        return line

    return go


# What runs


def test_a_grid_may_name_all_of_its_parts(records, tmp_path):
    rate = {"policy": "things:Halving", "base": 0.05, "every": 20}
    found = records(
        imbalance=TAIL,
        methods=["baseline", "things:one_class"],
        recipe={"iterations": 40, "rate": rate},
    )["all"]
    assert len(found) == 2 * 2 * 2
    assert {r["dataset"] for r in found} == {"things:Bars"}
    assert {r["model"] for r in found} == {"things:mlp"}
    assert {r["imbalance"] for r in found} == {"things:LongTail"}
    for record in found:
        rho = record["rho"]
        assert record["class_counts"] == [int(30 * rho ** -(c / 3)) for c in range(4)]
        assert record["test_counts"] == [10] * 4
    assert np.mean([r["auc"] for r in found if r["method"] == "baseline"]) > 0.95
    stored = read_grid(tmp_path / "results/tiny/grid.yaml").grid
    assert stored.imbalance.rho == (2, 10)
    assert stored.dataset.width == 2


def test_what_was_run_is_not_run_again(run):
    changes = {"dataset": BARS, "model": "things:mlp", "methods": ["things:one_class"]}
    assert run(**changes)[0] == 0
    code, out, _ = run(**changes)
    assert (code, "nothing left to do" in out) == (0, True)


def test_a_sampling_and_a_loss_of_ones_own_decide_what_is_learned(records):
    methods = ["baseline", "things:one_class", "things:one_weight"]
    found = records(replicates=1, methods=methods, recipe={"iterations": 60})
    assert found["one_class"]["recall_per_class"] == [1, 0, 0, 0]
    assert found["one_weight"]["recall_per_class"] == [0, 1, 0, 0]
    assert found["baseline"]["recall_per_class"] not in ([1, 0, 0, 0], [0, 1, 0, 0])
    assert found["one_class"]["sampling"] == "things:first_alone"
    assert found["one_weight"]["loss"] == "things:weigh_second"


def test_a_second_phase_of_ones_own_is_what_the_head_learns(records):
    recipe = {"iterations": 60, "second_phase_rate": 10}
    found = records(replicates=1, methods=["baseline", "things:then_one"], recipe=recipe)
    assert found["then_one"]["recall_per_class"] == [1, 0, 0, 0]
    assert found["then_one"]["second_phase"] == "things:first_alone"
    assert found["baseline"]["recall_per_class"] != [1, 0, 0, 0]


def test_a_decision_of_ones_own_judges_the_network_that_others_judge(records, tmp_path):
    found = records(replicates=1, methods=["baseline", "things:second"], predictions=True)
    own, baseline = found["second"], found["baseline"]
    assert own["training_id"] == baseline["training_id"]
    assert own["auc"] == baseline["auc"]
    folder = tmp_path / "results/tiny/predictions"
    logits = np.load(folder / f"{own['training_id']}.npy").astype(float)
    labels = np.load(folder / "labels.npy")
    chosen = np.argsort(logits, axis=1)[:, -2]
    assert own["accuracy"] == np.mean(chosen == labels)
    assert own["decision"] == "things:runner_up"


def test_a_grid_gives_a_method_of_ones_own_the_ratio_to_sample_to(records):
    found = records(replicates=1, methods=[{"things:some": {"to": [5, 20]}}])["all"]
    assert sorted(record["to"] for record in found) == [5, 20]
    assert len({record["training_id"] for record in found}) == 2


def test_a_method_of_ones_own_keeps_the_ratio_that_it_samples_to(records):
    found = records(replicates=1, methods=["oversampling", "things:halfway"])
    assert found["halfway"]["to"] == 2
    assert found["halfway"]["training_id"] != found["oversampling"]["training_id"]


def test_a_module_in_a_package_is_found(records):
    found = records(dataset={**BARS, "name": "box.inner:Bars"}, model="box.inner:mlp")["all"]
    assert {record["model"] for record in found} == {"box.inner:mlp"}


def test_the_path_is_what_names_a_part():
    one, other = (tiny_grid(dataset=BARS, model=model) for model in ("things:mlp", "again:mlp"))
    assert one.net == other.net
    assert one.hash != other.hash
    ids = [{row.id for due in plan(grid) for row in due.rows} for grid in (one, other)]
    assert not ids[0] & ids[1]


def test_a_row_of_the_table_needs_no_import(tmp_path):
    (tmp_path / "baseline.py").write_text("1 / 0")
    assert lookup(METHODS, "baseline") is METHODS["baseline"]
    assert lookup({"raises:x": "here"}, "raises:x") == "here"


@pytest.mark.slow
def test_ray_s_workers_find_modules_in_the_folder_and_along_the_path(grid_file, tmp_path):
    """The driver's folder and PYTHONPATH are the workers' too."""
    path = grid_file(
        dataset={**BARS, "name": "elsewhere:Bars"},
        imbalance=TAIL,
        model="things:mlp",
        methods=["baseline", "things:one_class", "things:second"],
    )
    home, library = tmp_path / "home", tmp_path / "library"
    home.mkdir()
    library.mkdir()
    (tmp_path / "things.py").rename(home / "things.py")
    (library / "elsewhere.py").write_text(MODULE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(library), str(ROOT)])}
    for executor in ("ray", "inprocess"):
        words = ["--executor", executor, "--results", str(tmp_path / executor)]
        done = subprocess.run(
            [sys.executable, "-m", "study.run", str(path), *words],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    ray, inprocess = (
        Store(tmp_path / executor / "tiny").read().drop_columns(list(VOLATILE))
        for executor in ("ray", "inprocess")
    )
    assert ray.num_rows == 2 * 2 * 3
    assert pc.all(pc.is_valid(ray["auc"])).as_py()
    assert ray.equals(inprocess)


# What is refused

PLACES = {
    "dataset.name": lambda name: {"dataset": {**BARS, "name": name}},
    "imbalance.kind": lambda name: {"imbalance": {"kind": name}},
    "recipe.rate.policy": lambda name: {"recipe": {"rate": {"policy": name, "base": 0.01}}},
    "model": lambda name: {"model": name},
    "methods[0]": lambda name: {"methods": [name]},
}
NOT_FOUND = {
    "nowhere:Bars": "there is no module nowhere in this folder or along PYTHONPATH",
    "nowhere.at.all:Bars": "there is no module nowhere in this folder or along PYTHONPATH",
    "box.outer:Bars": "there is no module box.outer in this folder or along PYTHONPATH",
    "things.part:Bars": "there is no module things.part in this folder or along PYTHONPATH",
    "raises:Bars": "raises fails with ZeroDivisionError: division by zero",
    "broken:Bars": "broken fails with SyntaxError: ",
    "lacks:Bars": "lacks fails with ModuleNotFoundError: No module named 'surely_not_installed'",
    "says_much:Bars": "says_much fails with RuntimeError: word word",
    "things:Barss": "things has no Barss. Did you mean 'Bars'?",
    "things:mpl": "things has no mpl. Did you mean 'mlp'?",
    "things:quite_another": "things has no quite_another",
    "box:Bars": "box has no Bars",
}
NO_PATH = (
    *("things", "things:", ":Bars", "things::Bars", "things:Bars.form", "things.:Bars"),
    *(
        "thi ngs:Bars",
        "1things:Bars",
        ".things:Bars",
        "things/Bars",
        "things.Bars",
        "things:Bars:x",
    ),
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NOT_FOUND)
def test_what_cannot_be_imported_is_told(refused, place, name):
    line = refused(**PLACES[place](name))
    assert f": {place}: found '{name}'; {NOT_FOUND[name]}" in line


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NO_PATH)
def test_what_is_neither_a_row_nor_a_path_is_told_what_may_be(refused, place, name):
    line = refused(**PLACES[place](name))
    assert f": {place}: found '{name}'; allowed: " in line
    assert "or an import path package.module:name" in line


@pytest.mark.parametrize(
    ("place", "name", "near"),
    [
        ("dataset.name", "synthetc", "synthetic"),
        ("imbalance.kind", "stp", "step"),
        ("recipe.rate.policy", "fixd", "fixed"),
        ("model", "lenet", "lenet5"),
        ("methods[0]", "oversampeling", "oversampling"),
    ],
)
def test_a_row_that_is_misspelt_is_told_the_nearest(refused, place, name, near):
    assert f"Did you mean '{near}'?" in refused(**PLACES[place](name))


@pytest.mark.parametrize("name", ["things:mlp", "things:number", "things:Whole", "things:Method"])
@pytest.mark.parametrize(
    ("place", "base"),
    [("dataset.name", "Source"), ("imbalance.kind", "Profile"), ("recipe.rate.policy", "Rate")],
)
def test_a_section_needs_a_class_below_its_base(refused, place, base, name):
    line = refused(**PLACES[place](name))
    assert f"{place}: found '{name}'; it is no class below {base}" in line


@pytest.mark.parametrize(
    ("place", "name", "base"),
    [
        ("dataset.name", "things:LongTail", "Source"),
        ("imbalance.kind", "things:Bars", "Profile"),
        ("recipe.rate.policy", "things:Bars", "Rate"),
    ],
)
def test_a_class_in_anothers_place_is_refused(refused, place, name, base):
    assert f"it is no class below {base}" in refused(**PLACES[place](name))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dataset": {**BARS, "widht": 3}},
            "dataset.widht: found an unknown key; allowed: ... Did you mean 'width'?",
        ),
        ({"dataset": {**BARS, "width": 0}}, "dataset.width: found 0; needed: greater than"),
        ({"dataset": {**BARS, "width": "wide"}}, "dataset.width: found 'wide'; needed: "),
        ({"imbalance": {"kind": "things:LongTail"}}, "imbalance.rho: found nothing; this key"),
        ({"imbalance": {**TAIL, "rho": 0.5}}, "imbalance.rho: found 0.5; needed: greater than"),
        ({"imbalance": {**TAIL, "mu": 0.5}}, "imbalance.mu: found an unknown key; allowed: "),
        (
            {"recipe": {"rate": {"policy": "things:Halving", "base": 0.1}}},
            "recipe.rate.every: found nothing; this key is needed",
        ),
    ],
    ids=str,
)
def test_keys_of_ones_own_are_checked_as_all_others(refused, changes, words):
    line = refused(**changes)
    assert all(part in line for part in words.split(" ... "))


def test_the_counts_of_a_profile_are_held_against_the_pool(refused):
    many = {**BARS, "train_per_class": 60}
    line = refused(dataset=many, model="things:mlp", imbalance={**TAIL, "rho": 2})
    assert "class 0 needs 60 training images, but 50 are left" in line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Shapeless", "dataset.name: found 'things:Shapeless'; its form fails with TypeError"),
        ("Source", "dataset.name: found 'things:Source'; its form fails with TypeError"),
        ("Loose", "dataset.name: found 'things:Loose'; its form is no Form but (8, 8, 1, 4)"),
        ("Halves", "its form is Form(height=7.5, width=8, channels=1, classes=4); needed: whole"),
        ("Empty", "things:Empty: its load fails with TypeError: Empty loads nothing"),
        ("Clumsy", "things:Clumsy: its load fails with ZeroDivisionError: division by zero"),
        ("Bare", "things:Bare: its load gives no two Splits"),
        ("Listed", "things:Listed: its training labels"),
        ("Larger", "its training images have the shape (240, 16, 8, 1), expected (240, 8, 8, 1)"),
        ("Choosy", "things:Choosy"),
    ],
)
def test_a_data_set_with_a_slip_is_told(refused, name, words):
    assert words in refused(dataset={**BARS, "name": f"things:{name}"}, model="things:mlp")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_argument", "its function fails with TypeError: no_argument() takes 0 positional"),
        ("two_arguments", "its function fails with TypeError: two_arguments() missing 1 required"),
        ("number", "its function fails with TypeError: 'int' object is not callable"),
        ("gives_none", "its function gives no Net but None"),
        ("gives_layers", "its function gives no Net but (Flatten(), Linear(features=4))"),
        (
            "misfit",
            "it does not fit the data set: the last layer leaves (5,), not a number a class",
        ),
    ],
)
def test_a_net_with_a_slip_is_told(refused, name, words):
    line = refused(dataset=BARS, model=f"things:{name}")
    assert f"model: found 'things:{name}'; {words}" in line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Pointless", "it fails with TypeError: Pointless defines no points"),
        ("Profile", "it fails with TypeError: Profile defines no points"),
        ("Roleless", "it fails with TypeError: "),
        ("NoCells", "its points give no Cell at all"),
        ("Numbers", "its points give no Cell but 2.0"),
        ("Stranger", "its cells are of kind 'step'"),
        ("Lists", "its roles give no Roles but [30, 30, 30, 30]"),
        ("Short", "its roles hold [30]; needed: whole numbers from 1 up, one for each of 4"),
        ("Fractions", "its roles hold [30.0, 15.0, 10.0, 7.5]; needed: whole numbers from 1 up"),
        ("Nothing", "its roles hold [30, 0, 0, 0]; needed: whole numbers from 1 up"),
        ("Stubborn", "imbalance.rho: found 2; never"),
        ("Wordy", "things:Wordy"),
    ],
)
def test_a_profile_with_a_slip_is_told(refused, name, words):
    bare = {"kind": f"things:{name}"}
    given = bare if name in ("Pointless", "Profile", "Roleless") else {**bare, "rho": 2}
    line = refused(dataset=BARS, model="things:mlp", imbalance=given)
    assert words in line


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (["things:number"], "methods[0]: found 'things:number'; it is no Method but 3"),
        (["baseline", "things:mlp"], "methods[1]: found 'things:mlp'; it is no Method but <func"),
        (["things:Method"], "methods[0]: found 'things:Method'; it is no Method but <class"),
        (["things:taken"], "found 'things:taken'; another method has its id 'baseline' already"),
        (["baseline", "things:taken"], "methods[1]: found 'things:taken'; another method has its"),
        (["things:one_class", "things:twin"], "methods[1]: found 'things:twin'; another method"),
        (["things:some", "things:some"], "'things:some' stands there twice"),
        ([{"things:some": {"too": 2}}], "needed: a word, or things:some: {to: the ratio"),
        ([{"things:second": {"to": 2}}], "methods[0].to: found 2; second samples nothing"),
        (["things:listed"], "methods[0]: sampling: found ['over']; needed: a word"),
    ],
    ids=str,
)
def test_a_method_with_a_slip_is_told(refused, methods, words):
    assert words in refused(dataset=BARS, model="things:mlp", methods=methods)


@pytest.mark.parametrize("field", ["sampling", "loss", "second_phase", "decision"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unknown", "found 'ovr'; allowed: "),
        ("absent", "found 'nowhere:over'; there is no module nowhere"),
        ("misspelt", "found 'things:runner_upp'; things has no runner_upp. Did you mean"),
        ("value", "found 'things:number'; it is no function"),
    ],
)
def test_a_word_of_a_method_is_looked_up_too(refused, field, name, words):
    line = refused(dataset=BARS, model="things:mlp", methods=[f"things:{field}_{name}"])
    assert f": method {field}_{name}: {field}: {words}" in line


def test_a_module_that_leaves_is_told(refused):
    assert "leaves fails with SystemExit" in refused(model="leaves:mlp")


def test_a_change_on_the_command_line_may_name_a_path(refused, run):
    assert "things has no mpl" in refused("--set", "model=things:mpl")
    changed = "dataset={name: 'things:Bars', train_per_class: 30, test_per_class: 10}"
    assert run("--set", changed, "--set", "model=things:mlp", "--limit", "1")[0] == 0


def test_a_grid_in_yaml_needs_no_quotes_for_a_path(tmp_path):
    text = yaml.safe_dump(raw_grid(dataset=BARS, model="things:mlp", methods=["things:some"]))
    assert "'" not in text.replace("title: ''", "")
    (tmp_path / "plain.yaml").write_text(text)
    assert read_grid(tmp_path / "plain.yaml").grid.model == "things:mlp"
