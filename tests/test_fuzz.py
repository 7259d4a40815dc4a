"""Whatever a file holds, reading it ends in a value or in a UserError: soon, in one line a problem,
and with nothing run.

STUDY_FUZZ=100 pytest tests/test_fuzz.py tries a hundred times as many inputs, other ones each time.
"""

import os
import resource
import signal
import sys
from contextlib import contextmanager
from copy import deepcopy
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.predictions import Predictions
from analysis.records import load
from analysis.study import grid_of
from study import strictyaml
from study.errors import GridError, UserError
from study.gridfile import LARGEST, read_grid
from study.job import run_job
from study.parts import find_parts, read_part, write_part
from study.plan import plan
from study.run import parser, run
from study.schema import SCHEMA
from study.store import Store
from tests.conftest import CPU, ROOT, job_of, raw_grid, tiny_grid

TIMES = int(os.environ.get("STUDY_FUZZ", "1"))

SECONDS, BYTES = 10, 3 << 30
"""What one input may take: of the processor's time, and of memory."""

LONGEST = 1200
"""Characters of a line of a message."""

RUNS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "pickle.find_class",
)
"""What Python tells of when something is run, or a pickle asks for more than numbers and text."""


def tried(number):
    """Settings for so many inputs, the same ones each time unless more are asked for."""
    return settings(
        max_examples=number * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


watching, ran = [False], []


def _tell(event, arguments):
    if watching[0] and event in RUNS:
        ran.append((event, arguments))


sys.addaudithook(_tell)


@contextmanager
def bounded():
    """Too long, too much memory, or anything run is a failure within."""

    def late(*_):
        raise TimeoutError(f"more than {SECONDS} seconds")

    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGPROF, late)
    resource.setrlimit(resource.RLIMIT_AS, (now + BYTES, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    ran.clear()
    watching[0] = True
    try:
        yield
    finally:
        watching[0] = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert not ran


def result(read, *starts):
    """What it gives, or None where it raises a UserError as it should be."""
    with bounded():
        try:
            return read()
        except UserError as error:
            told = error
    message = str(told)
    lines = message.split("\n")
    assert len(lines) == (len(told.problems) if isinstance(told, GridError) else 1), message
    assert all(0 < len(line) < LONGEST and line.isprintable() for line in lines), message
    assert all(line.startswith(starts) for line in lines), message
    return None


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# Grids

GRIDS = sorted((ROOT / "grids").glob("*.yaml"))
RAW = [yaml.safe_load(path.read_text()) for path in GRIDS]

ODD = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, -1, 1, 2, 10, 2**31 - 1, 2**31, 2**53, 10**9, 10**18, 10**400),
            *(0.0, -0.0, 0.1, 0.5, 1.5, 1e-300, 1e308, float("inf"), float("nan")),
            *(
                "",
                " ",
                "a",
                "all",
                "none",
                "1e5",
                "010",
                "~",
                "<<",
                "=",
                "\n",
                "\t",
                "\x00",
                "\x1b[31m",
            ),
            *("é", "模型", "🙂", "\u202e", "\u2028", "\ufeff", "a" * 3000, "no.such:thing"),
            *("json:loads", "json:", ":", "a.b.c:d", "a" * 300 + ":b", "a." * 900 + "a:b", "../.."),
            *(
                [],
                [[]],
                {},
                [None],
                [1, 1],
                list(range(1, 300)),
                {"to": 3},
                {"oversampling": {"to": 2}},
            ),
            *(
                "baseline",
                ["oversampling", "oversampling"],
                "step",
                "linear",
                "natural",
                "balanced",
            ),
            *(
                "mnist",
                "synthetic",
                "digits",
                "lenet5",
                "allcnn",
                "resnet10",
                "inv",
                "fixed",
                "random",
            ),
            {"kind": "linear", "rho": [1, 2.5]},
            {"kind": "step", "cells": [{"rho": 2, "mu": 0.5, "replicates": 10**9}]},
            {"kind": "counts", "counts": [3] * 10},
            {
                "name": "synthetic",
                "classes": 1000,
                "size": 512,
                "channels": 16,
                "train_per_class": 9,
            },
            {"name": "npz", "path": "010", "height": 9, "width": 9, "channels": 3, "classes": 9},
        ]
    ),
    st.integers(),
    st.floats(allow_subnormal=False),
    st.text(max_size=20),
    st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner, max_size=3)),
)


def deep(value, depth):
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def holders(value):
    """Every section and list of a grid."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from holders(inner)


@st.composite
def mutated(draw):
    """A real grid with some of its keys and values made into something else."""
    raw = deepcopy(draw(st.sampled_from(RAW)))
    for _ in range(draw(st.integers(1, 3))):
        holder = draw(st.sampled_from(list(holders(raw))))
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            continue
        key = draw(st.sampled_from(keys))
        match draw(st.sampled_from(["value", "drop", "name", "wrap", "deep", "long", "graft"])):
            case "value":
                holder[key] = draw(ODD)
            case "drop":
                del holder[key]
            case "name" if isinstance(holder, dict):
                other = draw(
                    st.sampled_from([f"{key}s", key[:-1], key.upper(), key[::-1]]) | st.text()
                )
                holder[other] = holder.pop(key)
            case "wrap":
                holder[key] = draw(st.sampled_from([[holder[key]], {key: holder[key]}]))
            case "deep":
                holder[key] = deep(holder[key], draw(st.sampled_from([3, 30, 63, 64, 90])))
            case "long":
                many = draw(st.sampled_from([3, 50, 2000]))
                holder[key] = [1 + number / many for number in range(many)]
            case _:
                holder[key] = deepcopy(
                    draw(st.sampled_from(list(holders(draw(st.sampled_from(RAW))))))
                )
    return raw


class Text(yaml.SafeDumper):
    """Writes whatever it is given."""

    def ignore_aliases(self, data):
        return True


SNIPPETS = (
    *(
        "&a [*a]",
        "x: &a [1]\ny: *a",
        "<<: {name: b}",
        "<<: *a",
        "name: twice",
        "? [a, b]\n: c",
        "? a",
    ),
    *(
        '!!python/object/apply:os.system ["touch ran"]',
        "!!python/name:os.system",
        "!!binary aGk=",
        "!x y",
    ),
    *("t: !!timestamp 2020-01-01", "d: 2020-01-01", "t: 1:30:00", "o: 0o17", "h: 0xff", "u: 1_000"),
    *(
        "---",
        "...",
        "--- \nname: b",
        "%YAML 1.1\n---",
        "%TAG ! tag:x,2000:\n---",
        "%",
        "@",
        "`",
        "\t",
    ),
    *(
        "seed: 010",
        "seed: 08",
        "seed: 0" + "7" * 9000,
        "seed: " + "9" * 5000,
        "- a",
        "a: b: c",
        "[",
        "}",
    ),
    *(
        "seed: " + "[" * 300,
        "seed: " + "{a: " * 300,
        "- " * 300,
        "|\n  x",
        ">+9\n x",
        '"\\UFFFFFFFF"',
    ),
    *(
        '"\\ud800": 1',
        'title: "\\ud800"',
        'title: "\\x00"',
        "\ufeff",
        "\x85",
        "\u2028",
        "k: 'a''b",
        "!!!",
    ),
    *(
        "a: &b &c d",
        "*",
        "&",
        "!<",
        "!<a> b",
        "!<tag:yaml.org,2002:int> x",
        "~: 1\nnull: 2",
        "true: x",
    ),
    "\n".join(f"a{number}: &a{number} [{f'*a{number - 1},' * 9}]" for number in range(1, 12)),
    "\n".join(f"unknown{number}: 1" for number in range(400)),
)


@st.composite
def texts(draw):
    """A grid as text, changed where no mutation of values reaches."""
    text = draw(
        st.sampled_from([path.read_text() for path in GRIDS])
        | mutated().map(lambda raw: yaml.dump(raw, Dumper=Text, allow_unicode=True))
    )
    for _ in range(draw(st.integers(0, 3))):
        lines = text.split("\n")
        number = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["insert", "behind", "cut", "letter", "indent"])):
            case "insert":
                lines.insert(number, draw(st.sampled_from(SNIPPETS)))
            case "behind":
                lines[number] += draw(st.sampled_from([" ", ": ", "\n  "])) + draw(
                    st.sampled_from(SNIPPETS)
                )
            case "cut":
                lines[number] = lines[number][: draw(st.integers(0, 40))]
            case "letter":
                at = draw(st.integers(0, len(lines[number])))
                lines[number] = lines[number][:at] + draw(st.characters()) + lines[number][at:]
            case _:
                lines[number] = " " * draw(st.integers(1, 6)) + lines[number]
        text = "\n".join(lines)
    return text


TOKENS = st.lists(
    st.sampled_from(
        [*"[]{}:,-?!&*|>%@`'\"#~ \n\t\\", ": ", "- ", "\n  ", "name", "1", "1e9", *SNIPPETS[:20]]
    )
).map("".join)

CONTENTS = st.one_of(
    texts().map(lambda text: text.encode(errors="surrogatepass")),
    TOKENS.map(str.encode),
    st.text(st.characters()).map(lambda text: text.encode(errors="surrogatepass")),
    st.binary(max_size=300),
)


def expanded(grid):
    """The plan of a grid, where it is short: as many records as was asked for, no two alike."""
    few = 300 // (len(grid.methods) * len(grid.recipe.rate.base) * grid.runs)
    cases = list(islice(grid.cases(), few + 1))
    if len(cases) > few:
        return
    dues = plan(grid)
    rows = [row.id for due in dues for row in due.rows]
    assert len(dues) == len(cases)
    assert len(rows) == len(cases) * len(grid.methods) * len(grid.recipe.rate.base) * grid.runs
    assert len(set(rows)) == len(rows)


def read(path, changes=(), small=False):
    grid = read_grid(path, changes, small).grid
    expanded(grid)
    again = strictyaml.parse(strictyaml.dump(grid.resolved()), "again")
    assert again == grid.resolved()
    return grid


@tried(240)
@given(CONTENTS, st.booleans())
def test_a_file_is_a_grid_or_what_is_wrong_is_told(place, content, small):
    path = place / "grid.yaml"
    path.write_bytes(content)
    result(lambda: read(path, small=small), str(path))


PLACES = sorted(
    {
        f"{above}.{key}" if above else key
        for raw in RAW
        for above, holder in [("", raw), *((k, v) for k, v in raw.items() if isinstance(v, dict))]
        for key in holder
    }
)
CHANGES = st.one_of(
    st.builds("{}={}".format, st.sampled_from(PLACES), ODD.map(lambda value: f"{value}")),
    st.builds("{}={}".format, st.sampled_from(PLACES), st.sampled_from(SNIPPETS)),
    st.builds("{}.{}={}".format, st.sampled_from(PLACES), st.text(max_size=5), st.integers()),
    st.text(),
    st.sampled_from(["a." * 5000 + "a=1", "\udcff=1", "name=\udcff", "=", "a=b=c", "small.seed=1"]),
)


@tried(90)
@given(st.sampled_from(GRIDS), st.lists(CHANGES, min_size=1, max_size=3))
def test_changes_give_a_grid_or_are_told(path, changes):
    result(lambda: read(path, changes), str(path), "--set ")


def with_value(**changes):
    return yaml.dump(raw_grid(**changes), Dumper=Text)


ABSURD = {
    "cases": with_value(replicates=2**31 - 1),
    "records": with_value(replicates=10**6, runs=2**31 - 1),
    "subsets": with_value(subsets=10**9),
    "splits": with_value(dataset={"splits": 10**9}),
    "replicates of a cell": with_value(
        imbalance={"rho": None, "mu": None, "cells": [{"rho": 2, "mu": 0.5, "replicates": 10**9}]}
    ),
    "ratios x parts": with_value(
        dataset={"classes": 1000, "train_per_class": 1000},
        imbalance={
            "rho": [1 + n / 5000 for n in range(5000)],
            "mu": [n / 1000 for n in range(1, 999)],
        },
    ),
    "ratios": with_value(imbalance={"rho": [1 + n / 20000 for n in range(20000)]}),
    "cells": with_value(
        imbalance={
            "rho": None,
            "mu": None,
            "cells": [{"rho": 1 + n / 2000, "mu": 0.5} for n in range(2000)],
        }
    ),
    "rates": with_value(recipe={"rate": {"base": [1 + n / 20000 for n in range(20000)]}}),
    "ratios of a method": with_value(
        methods=[{"oversampling": {"to": [1 + n for n in range(9000)]}}]
    ),
    "unknown keys": with_value(**{f"key{number}": number for number in range(9000)}),
    "wrong values": with_value(imbalance={"rho": ["a"] * 9000}),
    "a long line": "name: " + "a" * (LARGEST - 10),
    "a long key": "a" * (LARGEST - 10) + ": 1",
    "too long": "a" * (LARGEST + 1),
    "bomb": "\n".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(30)
    ),
    "a module's long name": with_value(model="a." * 100_000 + "b:c"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_the_absurd_is_refused_or_read_in_bounds(name, tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(ABSURD[name])
    result(lambda: read_grid(path), str(path))


def test_more_values_than_a_grid_has_are_not_read(monkeypatch):
    monkeypatch.setattr(strictyaml, "MOST", 2000)
    assert len(strictyaml.parse("[" + "[]," * 1999 + "]", "text")) == 1999
    with pytest.raises(UserError, match="more than 2,000 values"):
        strictyaml.parse("[" + "[]," * 2000 + "]", "text")


@pytest.mark.parametrize("name", ["cases", "records", "subsets", "splits", "replicates of a cell"])
def test_what_no_plan_can_hold_is_refused(name, tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(ABSURD[name])
    with pytest.raises(UserError, match="allowed: 1,000,000 cases and 10,000,000 records"):
        read_grid(path)


def test_a_plan_of_a_net_that_no_memory_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("study.estimate.memory", lambda: 1 << 30)
    shape = {"height": 1024, "width": 1024, "channels": 16, "classes": 4, "train_per_class": 30}
    (tmp_path / "grid.yaml").write_text(with_value(dataset={"name": "npz", "path": "a", **shape}))
    options = parser().parse_args(
        [str(tmp_path / "grid.yaml"), "--plan", "--results", str(tmp_path)]
    )
    told = "model: found 'lenet5'; a network of it has 1,600,"
    assert result(lambda: run(options), told) is None


# The text of a stored grid

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.sampled_from(
    [
        "1e5",
        "010",
        "08",
        "1_0",
        "~",
        "null",
        "yes",
        "=",
        "<<",
        "1:30",
        "0x1f",
        "2020-01-01",
        "- a",
        "#",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_subnormal=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=9,
)


@tried(100)
@given(VALUES)
def test_what_is_written_is_read_as_it_was(value):
    assert repr(strictyaml.parse(strictyaml.dump(value), "text")) == repr(value)


def test_a_number_is_decimal_however_it_begins():
    assert strictyaml.parse("[010, 08, +007, -010, 0]", "text") == [10, 8, 7, -10, 0]


@pytest.mark.parametrize("path", ["1e5", "08", "010", "1_000", "1:30", "null", "a b"])
def test_a_store_takes_more_of_the_grid_that_made_it(path, tmp_path):
    shape = {"height": 28, "width": 28, "channels": 1, "classes": 4, "train_per_class": 30}
    grid = tiny_grid(dataset={"name": "npz", "path": path, **shape})
    Store(tmp_path).open(grid)
    Store(tmp_path).compare(grid)


@tried(60)
@given(CONTENTS)
def test_a_stored_grid_is_compared_or_told(place, content):
    file = place / "store" / "grid.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    result(lambda: Store(file.parent).compare(tiny_grid()), str(file.parent))
    with bounded():
        assert isinstance(str(grid_of(file.parent).get("title")), str)


def test_a_stored_grid_that_refers_to_itself_is_not_written_out(tmp_path):
    bomb = "\n".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(30)
    )
    (tmp_path / "grid.yaml").write_text(f"{bomb}\ntitle: [*a29]")
    result(lambda: Store(tmp_path).compare(tiny_grid()), str(tmp_path))
    with bounded():
        str(grid_of(tmp_path).get("title"))


# Parts


class Part:
    """A store of one part: its file, its bytes, and what it holds."""

    def __init__(self, folder):
        grid = tiny_grid(recipe={"iterations": 1}, curve=1)
        dataset = grid.dataset.dataset(folder, grid.seed)
        store = Store(folder / "study")
        store.write(run_job(job_of(grid), grid, dataset, CPU, "code"))
        self.table = store.read()
        (self.path,) = find_parts(store.folder)
        self.content = self.path.read_bytes()


@pytest.fixture(scope="module")
def part(place):
    return Part(place)


@st.composite
def damages(draw):
    """Something that happens to a file, as a function of its bytes."""
    share, other = (
        draw(st.floats(0, 1, allow_subnormal=False)),
        draw(st.floats(0, 1, allow_subnormal=False)),
    )
    byte = draw(st.integers(1, 255))
    kind = draw(
        st.sampled_from(["cut", "flip", "end", "swap", "zeros", "twice", "insert", "garbage"])
    )
    noise = draw(st.binary(max_size=60))

    def damage(content):
        one, two = sorted((int(share * (len(content) - 1)), int(other * (len(content) - 1))))
        flipped = bytearray(content)
        flipped[-1 - one // 50 if kind == "end" else one] ^= byte
        return {
            "cut": content[:one],
            "flip": bytes(flipped),
            "end": bytes(flipped),
            "swap": content[one:two] + content[:one] + content[two:],
            "zeros": content[:one] + bytes(two - one) + content[two:],
            "twice": content[:two] + content[one:],
            "insert": content[:one] + noise + content[one:],
            "garbage": noise,
        }[kind]

    return damage


def check_part(part, content):
    """The same table or an error, whoever reads it."""
    path, whole = part.path, part.table
    path.write_bytes(content)
    folder = path.parent.parent
    for read in (
        lambda: read_part(path),
        lambda: Store(folder).read(),
        lambda: pa.Table.from_pandas(load(folder), schema=SCHEMA, preserve_index=False),
    ):
        found = result(read, str(path))
        if found is not None:
            found = found.sort_by("record_id").replace_schema_metadata()
            assert found == whole.replace_schema_metadata()
    ids = result(lambda: Store(folder).records([]), str(path))
    assert ids is None or ids in ({*whole["record_id"].to_pylist()}, set())


@tried(130)
@given(damages())
def test_a_damaged_part_is_the_same_table_or_told(part, damage):
    check_part(part, damage(part.content))


def test_a_part_cut_anywhere_is_told(part):
    path, content = part.path, part.content
    step = 1 if TIMES > 1 else len(content) // 150
    for end in [*range(0, len(content), step), *range(len(content) - 12, len(content))]:
        path.write_bytes(content[:end])
        assert result(lambda: read_part(path), str(path)) is None


def renamed(made):
    return made.rename_columns([f"{name}é\n" for name in made.column_names])


OTHERS = {
    "no columns": lambda made: made.select([]),
    "fewer columns": lambda made: made.drop_columns(["auc"]),
    "other names": renamed,
    "other order": lambda made: made.select(made.column_names[::-1]),
    "another type": lambda made: made.set_column(0, "record_id", pa.array(range(len(made)))),
    "no metadata": lambda made: made.replace_schema_metadata(),
    "a version to come": lambda made: made.replace_schema_metadata({"schema_version": "99"}),
    "a version of two lines": lambda made: made.replace_schema_metadata(
        {"schema_version": "\n9" * 99}
    ),
    "a version that is no text": lambda made: made.replace_schema_metadata(
        {"schema_version": b"\xff"}
    ),
    "an older version's name": lambda made: made.replace_schema_metadata({"schema_version": "1"}),
    "bytes that are no text": lambda made: made.set_column(
        0, SCHEMA.field(0).with_type(pa.binary()), pa.array([b"\xff"] * len(made))
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_table_that_is_no_part_is_told(name, part):
    path, whole = part.path, part.table
    path.unlink(missing_ok=True)
    write_part(path, OTHERS[name](whole))
    assert result(lambda: read_part(path), str(path)) is None
    assert result(lambda: load(path.parent.parent), str(path)) is None


# Checkpoints and predictions

STATE = {"iteration": np.array(5), "tensor0": np.arange(60, dtype=np.float32).reshape(3, 20)}


@tried(90)
@given(damages())
def test_a_damaged_checkpoint_is_none_or_as_it_was(place, damage):
    store = Store(place / "kept")
    store.keep("key", STATE)
    file = store.folder / "checkpoints" / "key.npz"
    file.write_bytes(damage(file.read_bytes()))
    found = result(lambda: store.kept("key"))
    assert found is None or all((found[key] == STATE[key]).all() for key in STATE)


LOGITS = np.arange(60, dtype=np.float16).reshape(20, 3)


def stored(array, **how):
    content = BytesIO()
    np.save(content, array, **how)
    return content.getvalue()


def headed(text, version=b"\1\0"):
    """An array's file with this header."""
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + bytes(120)


ARRAYS = (
    stored(np.array([{}, None]), allow_pickle=True),
    stored(np.zeros((2, 3), "V9")),
    stored(np.zeros((0, 3), np.float16)),
    stored(np.array(["a"])),
    *(
        headed(text)
        for text in (b"", b"{", b"1", b"(" * 900, b"'\n", b"  x\n y\n", b"\xff", b"[" * 9000)
    ),
    *(
        headed(b"{'descr': %s, 'fortran_order': False, 'shape': %s}\n" % (kind, shape))
        for kind in (b"'<f2'", b"'|O'", b"'<f99'", b"[('a', '<f2')]", b"7", b"'<m8[x]'", b"'|S0'")
        for shape in (
            b"(20, 3)",
            b"(-1, 3)",
            b"(9" + b"9" * 40 + b", 3)",
            b"(20L, 3)",
            b"(1.5,)",
            b"7",
        )
    ),
    headed(b"{}", b"\2\0"),
    headed(b"{}", b"\7\0"),
    b"PK\3\4" + bytes(40),
    b"PK\5\6" + bytes(18),
)


def check_array(place, content):
    """Logits as they were, or some of the same shape, or an error; never more than is there."""
    file = place / "logits" / "predictions" / "key.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    with bounded():
        Store(file.parent.parent).predictions([None])
    one = Predictions(file.parent.parent)
    logits = result(lambda: np.concatenate([*one.logits("key", 20, 3)]), str(file))
    assert logits is None or logits.shape == (20, 3)
    result(lambda: one.labels(None, 3), str(file.parent))


@tried(100)
@given(damages())
def test_damaged_logits_are_told_or_of_their_shape(place, damage):
    check_array(place, damage(stored(LOGITS)))


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@pytest.mark.parametrize("content", ARRAYS)
def test_what_is_no_array_of_logits_is_told(content, place):
    check_array(place, content)
