"""The report: what the page holds, against plain loops, and what the command says of bad input."""

import base64
import itertools
import re
import struct
import subprocess
import sys
from collections import defaultdict
from html.parser import HTMLParser

import numpy as np
import pytest
import scipy.stats
import yaml

from analysis import gallery, ran, report
from analysis.figures import COLUMNS, pages
from analysis.gallery import in_words, named
from analysis.outcome import typeset
from analysis.page import Blank
from analysis.ran import asked
from analysis.records import load
from analysis.selection import flattery
from analysis.sheet import Cell, Sheet, interval, number, probability
from analysis.study import Study, gathered, grid_of
from study.gridfile import read_grid
from study.methods import METHODS
from study.plan import count, plan
from tests.conftest import ROOT, without_privileges
from tests.test_figures import diverged, record, widened, write

EVIL = "<script>alert('x')</script>"
SOME = ("baseline", "oversampling", "undersampling", "thresholding")

MADE = {
    "precision": "strict",
    "device": "cpu",
    "pack": 1,
    "formulation": "plain",
    "threads": 2,
    "worker": "host:1",
    "code": "0123456789abcdef0123-dirty",
    "versions": '{"python":"3.12.0","torch":"2.11.0"}',
    "finished_at": 1_700_000_000_000_000,
}


def made(cells, replicates, methods=SOME, kind="step", **changes):
    """Records with everything that a page tells; the methods of one network share its time."""
    rows = []
    for (rho, mu), replicate, method in itertools.product(cells, range(replicates), methods):
        row = record(kind, rho, mu, replicate, method, **MADE) | changes
        rng = np.random.default_rng([int(rho), replicate, len(row["training_id"])])
        row["training_id"] = f"{row['case_id']}-{row['sampling']}-{row['second_phase']}"
        rows.append(row | {"seconds": float(rng.integers(10, 100))})
    return rows


STEP = made(itertools.product((10.0, 100.0), (0.2, 0.5)), 6)
STEP[1] = diverged(STEP[1])
STEP[6]["status"] = "chance"
GRID = {
    "name": "made_up",
    "title": f"Step {EVIL}",
    "dataset": {"name": "mnist", "splits": None},
    "imbalance": {"kind": "step", "rho": [10.0, 100.0], "mu": [0.2, 0.5], "cells": None},
    "methods": list(SOME),
    "replicates": 7,
    "subsets": None,
    "recipe": {"rate": {"base": 0.01}},
    "runs": 1,
}


def candidates(validated=True):
    """A study of linear imbalance with two rates each, one row a method of somebody's own."""
    rows = []
    for rate in (0.1, 0.01):
        for row in made([(10.0, None)], 2, ("baseline", f"mine:{EVIL}"), "linear"):
            rng = np.random.default_rng([int(1000 * rate), *row["record_id"].encode()])
            score = {"auc": rng.uniform(0.8, 1), "accuracy": rng.uniform(0.5, 1)}
            fair = {"validation_auc": rng.uniform(0.8, 1) if validated else None}
            id = f"{row['record_id']}-{rate}"
            rows.append(row | score | fair | {"record_id": id, "base_rate": rate, "loss": EVIL})
    return rows


def put(results):
    """Two studies, one with its grid and a failure, one with candidates and neither."""
    folder = write(STEP, results / "made_up")
    (folder / "grid.yaml").write_text(yaml.safe_dump(GRID))
    (folder / "failures").mkdir()
    (folder / "failures" / "case1.txt").write_text(f"Traceback\n  {EVIL}\nValueError: {EVIL}\n")
    write(candidates(), results / "rates")
    return results


class Reader(HTMLParser):
    """What a page has: its tags, its tables by their id, the text of each id's element."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self._sheet, self._cell = [], {}, "", None
        self.places, self._place = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        if tag == "section" and given.get("class", "").startswith("sheet"):
            self.tables[given["id"]], self.places[given["id"]] = [], []
            self._sheet = given["id"]
        elif tag == "tr" and given.get("class") == "place":
            self.places[self._sheet].append((len(self.tables[self._sheet]) - 1, []))
            self._place = self.places[self._sheet][-1][1]
        elif tag == "tr":
            self.tables[self._sheet].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            row = self.tables[self._sheet][-1] if self._place is None else self._place
            row.append("".join(self._cell).strip())
            self._cell = None
        elif tag == "tr":
            self._place = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)

    def all(self, name, attribute):
        return [given[attribute] for tag, given in self.tags if tag == name and attribute in given]

    def rows(self, sheet):
        head, *rows = self.tables[sheet]
        return [dict(zip(head, row, strict=True)) for row in rows]


def content(address):
    """The file that a data address holds."""
    kind, _, body = address.partition(";base64,")
    assert kind.startswith("data:")
    return base64.b64decode(body)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return put(tmp_path_factory.mktemp("report") / "results")


@pytest.fixture(scope="module")
def made_page(results):
    """The page of the two studies, made by the command; where it lies, and what it holds."""
    out = results.parent / "deep" / "page.html"
    assert report.main(["--results", str(results), "--out", str(out), "--title", f"T {EVIL}"]) == 0
    return out


@pytest.fixture(scope="module")
def text(made_page):
    return made_page.read_text()


@pytest.fixture(scope="module")
def reader(text):
    return Reader(text)


def values(cell):
    """The numbers of a cell."""
    return [float(one) for one in re.findall(r"[-+]?[\d.]+", cell.replace("\u2212", "-"))]


def scored(rows, measure="auc"):
    """The scores in % of those not diverged, by rho, mu and method."""
    found = defaultdict(dict)
    for row in rows:
        if row["status"] != "diverged":
            found[row["rho"], row["mu"], row["method"]][row["case_id"]] = 100 * row[measure]
    return found


LABELS = {method.label: id for id, method in METHODS.items()}


def test_the_page_is_whole_in_itself(reader, text):
    assert len(reader.all("script", "src")) == 0
    assert text.count("<script>") == text.count("</script>") == 1
    assert EVIL not in text
    assert all(address.startswith("data:image/") for address in reader.all("img", "src"))
    links = [link for link in reader.all("a", "href") if not link.startswith("data:text/csv;")]
    ids = [given["id"] for _, given in reader.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert set(links) <= {f"#{id}" for id in ids}
    assert set(reader.all("use", "href")) <= {f"#{id}" for id in ids}
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", text)


def test_what_comes_from_records_and_grids_is_text(text):
    shown = EVIL.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;")
    assert f"<h1>T {shown}</h1>" in text
    assert f"Step {shown}" in text  # the grid's title
    assert f"mine:{shown}" in text  # a method
    assert text.count(f"ValueError: {shown}") == 2  # a traceback's last line, and the whole


def test_every_figure_that_can_be_drawn_is_there(reader, results):
    found = gathered(results, ("made_up", "rates"), "best_on_test", COLUMNS)
    drawn = {
        id: drawing
        for id, drawer in pages(found).items()
        if not isinstance(drawing := drawer(), Blank)
    }
    assert {"made_up/fig3", "made_up/fig6", "rates/fig5"} <= set(drawn)
    assert sorted(reader.all("figure", "id")) == sorted(
        "figure-" + id.replace("/", "-") for id in drawn
    )
    files = {given["download"]: given["href"] for tag, given in reader.tags if "download" in given}
    for id, drawing in drawn.items():
        rows = content(files[id.replace("/", "-") + ".csv"]).decode()
        assert rows == drawing.page.data.to_csv(index=False)


def test_pictures_have_their_size_and_words(reader):
    pictures = [given for tag, given in reader.tags if tag in ("img", "source")]
    assert len(pictures) == 2 * len(reader.all("figure", "id"))
    for given in pictures:
        svg = content(given.get("src") or given["srcset"]).decode()
        box = [float(n) for n in re.search(r'viewBox="([^"]+)"', svg)[1].split()]
        assert int(given["width"]) / int(given["height"]) == pytest.approx(
            box[2] / box[3], rel=0.01
        )
    assert all("Its numbers are in the CSV" in alt for alt in reader.all("img", "alt"))
    assert any(
        "n\u00a0=\u00a05-6. Panels: \u03bc\u00a0=\u00a00.2" in a for a in reader.all("img", "alt")
    )


def figure_3():
    return pages([study_of(STEP)])["made_up/fig3"]()


def test_title_and_caption_stand_in_the_page_alone():
    drawing = figure_3()
    drawn = content(gallery.picture(drawing, 100).source).decode()
    assert "<!-- Multi-class ROC AUC (%) -->" in drawn  # each text is there as a comment too
    assert "<!-- Two-phase" not in drawn
    for words in (drawing.page.title, drawing.page.caption):
        assert words.split(",")[0] not in drawn
    assert float(re.search(r'height="([\d.]+)pt"', drawn)[1]) < 72 * drawing.get_figheight() - 20


def test_a_heavy_drawing_becomes_dots(monkeypatch):
    light = gallery.picture(figure_3(), 100)
    monkeypatch.setattr(gallery, "HEAVY", 1000)
    heavy = gallery.picture(figure_3(), 100)
    assert (heavy.width, heavy.height) == (light.width, light.height)
    assert heavy.source.startswith("data:image/png;")
    wide, high = struct.unpack(">2I", content(heavy.source)[16:24])
    assert (wide, high) == pytest.approx((2 * heavy.width, 2 * heavy.height), rel=0.01)


def test_means_are_those_of_a_loop(reader):
    found = scored(STEP)
    rows = [row for row in reader.rows("means") if row["Study"] == "made_up"]
    assert len(rows) == len(found)
    for row in rows:
        assert row["Imbalance"] == "step imbalance"
        scores = list(
            found[float(row["\u03c1"]), float(row["\u03bc"]), LABELS[row["Method"]]].values()
        )
        mean, low, high = values(row["AUC"])
        assert mean == pytest.approx(np.mean(scores), abs=6e-4)
        assert int(row["n"]) == len(scores)
        bounds = scipy.stats.bootstrap((scores,), np.mean, method="percentile", rng=1)
        expected = widened(scores, bounds.confidence_interval)
        assert [low, high] == pytest.approx(expected.tolist(), abs=0.1)


def test_above_rows_of_one_place_stands_what_they_share(reader):
    """Once for each run of them, for a phone, in place of the columns before the method."""
    means = reader.rows("means")
    order = list(means[0])
    shared = order[: order.index("Method")]
    assert shared == ["Study", "Imbalance", "\u03c1", "\u03bc"]
    expected = []
    for i, row in enumerate(means):
        named = [
            f"{name}\u00a0=\u00a0{row[name]}" if name in "\u03c1\u03bc" else row[name]
            for name in shared
            if row[name] != "\u2013"
        ]
        if not expected or expected[-1][1] != [", ".join(named)]:
            expected.append((i, [", ".join(named)]))
    assert reader.places["means"] == expected
    assert len(expected) >= 5
    assert [words for _, words in reader.places["overall"]] == [["made_up"], ["rates"]]
    assert reader.places["overall"][0][0] == 0


def test_tables_of_thirty_rows_are_printed_whole(reader):
    sheets = [Sheet("a", "A", ["Net"], [[Cell("x")]] * rows) for rows in (30, 31)]
    assert [sheet.short for sheet in sheets] == [True, False]
    assert [sheet.places for sheet in sheets] == [0, 0]
    classes = {
        given["id"]: given["class"]
        for tag, given in reader.tags
        if "sheet" in given.get("class", "")
    }
    for id, rows in reader.tables.items():
        assert classes[id] == ("sheet short" if len(rows) - 1 <= 30 else "sheet")


@pytest.mark.parametrize("measure", ["auc", "accuracy"])
def test_methods_are_compared_with_the_baseline_in_pairs(reader, measure):
    found = scored(STEP, measure)
    rows = [row for row in reader.rows(f"{measure}-by-cell") if row["Study"] == "made_up"]
    methods = ["oversampling", "undersampling"] + ["thresholding"] * (measure == "accuracy")
    assert [LABELS[row["Method"]] for row in rows] == [id for id in methods for _ in range(4)]
    ps, told = defaultdict(list), defaultdict(list)
    for row in rows:
        cell = float(row["\u03c1"]), float(row["\u03bc"])
        own, other = found[*cell, LABELS[row["Method"]]], found[*cell, "baseline"]
        pairs = [own[case] - other[case] for case in own if case in other]
        assert int(row["n"]) == len(pairs)
        assert values(row["Difference"])[0] == pytest.approx(np.mean(pairs), abs=6e-3)
        if len(pairs) < 6:
            assert (row["p (Holm)"], row["Cases improved, %"]) == ("too few", "too few")
            continue
        wins = np.mean([1 if d > 0 else 0.5 if d == 0 else 0 for d in pairs])
        assert float(row["Cases improved, %"]) == pytest.approx(100 * wins, abs=0.51)
        ps[row["Method"]].append(scipy.stats.wilcoxon(pairs, zero_method="pratt").pvalue)
        told[row["Method"]].append(float(row["p (Holm)"]))
    assert sum(len(one) for one in ps.values()) == len(rows) - 1  # one pair of six diverged
    for method, bare in ps.items():
        steps = [p * (len(bare) - i) for i, p in enumerate(sorted(bare))]
        holm = dict(zip(sorted(bare), np.minimum(np.maximum.accumulate(steps), 1), strict=True))
        assert told[method] == pytest.approx([holm[p] for p in bare], abs=6e-4)


def test_the_difference_over_cells_is_their_mean(reader):
    found = scored(STEP, "accuracy")
    for row in reader.rows("overall"):
        if row["Study"] != "made_up":
            continue
        means = []
        for rho, mu in itertools.product((10.0, 100.0), (0.2, 0.5)):
            own, other = found[rho, mu, LABELS[row["Method"]]], found[rho, mu, "baseline"]
            means.append(np.mean([own[case] - other[case] for case in own if case in other]))
        mean, low, high = values(row["Accuracy"])
        assert mean == pytest.approx(np.mean(means), abs=6e-3)
        assert low < mean < high
    dash = [row["AUC"] for row in reader.rows("overall") if row["Method"] == "Thresholding"]
    assert dash == ["\u2013"]


def test_time_is_counted_once_a_network(reader):
    (row,) = [row for row in reader.rows("time") if row["Study"] == "made_up"]
    networks = {row["training_id"]: row["seconds"] for row in STEP}
    assert len(networks) == 4 * 6 * 3  # thresholding judges the baseline's
    assert int(row["Networks"]) == len(networks)
    hours = 2 * sum(networks.values()) / 3600  # on two threads
    assert values(row["Time"])[0] == pytest.approx(hours, abs=6e-3)
    assert values(row["Pace"])[0] == pytest.approx(len(networks) / hours, abs=0.6)


def test_on_a_card_hours_are_the_cards():
    rows = [row | {"device": "NVIDIA H100", "seconds": 36.0} for row in STEP]
    study = study_of(rows)
    (row,) = ran.cost([study]).rows
    assert [cell.text for cell in row][1:] == [
        "NVIDIA H100", "72", "36.0", "0.72 card-hours", "100 a card-hour",
    ]  # fmt: skip
    assert ran.time([study, study_of(STEP)]).startswith("2.")
    assert ran.time([study, study_of(STEP)]).endswith(" core-hours and 0.7 card-hours")
    assert ran.time([study_of([row | {"seconds": 1.0} for row in STEP])]) == "2.4 core-minutes"


def study_of(rows, grid=None):
    from tests.test_figures import frame

    data = frame(rows)
    return Study("made_up", ROOT, data, data, "", grid or {})


def test_what_was_run(reader, text):
    step, rates = reader.rows("experiments")
    assert (step["Cases"], step["Records"]) == ("24 of 28", "96 of 112")
    assert "unfinished: 5 of 28 cases" not in text
    assert "unfinished: 4 of 28 cases" in text
    assert (rates["Cases"], rates["Records"]) == ("2", "8")
    assert "no grid.yaml says how many cases were asked for" in text
    assert (step["Cells"], step["Replicates"], step["Methods"]) == ("4", "6", "4")
    assert (step["Data set"], step["Net"], step["Iterations"]) == ("MNIST", "LeNet-5", "1,500")
    machine = reader.rows("machines")[0]
    assert machine["First record (UTC)"] == machine["Last record (UTC)"] == "2023-11-14 22:13"
    assert (machine["Threads"], machine["Code"]) == ("2", "0123456789-dirty")
    assert "<b>torch</b> 2.11.0<" in text


def test_versions_that_differ_say_where():
    other = [row | {"versions": '{"torch":"2.12.0"}'} for row in STEP]
    studies = [study_of(STEP), study_of(other)]
    object.__setattr__(studies[1], "name", "later")
    assert ran.versions(studies) == [
        ("python", "3.12.0 (made_up)"),
        ("torch", "2.11.0 (made_up); 2.12.0 (later)"),
    ]


@pytest.mark.parametrize("small", [False, True], ids=["full", "small"])
@pytest.mark.parametrize("path", sorted((ROOT / "grids").glob("*.yaml")), ids=lambda p: p.stem)
def test_what_a_grid_asks_for_is_what_the_plan_counts(path, small, tmp_path):
    grid = read_grid(path, small=small).grid
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid.resolved(), sort_keys=False))
    found, wanted = asked(grid_of(tmp_path)), count(plan(grid))
    assert (found.cases, found.cases * found.rows) == (wanted.cases, wanted.records)


@pytest.mark.parametrize(
    "grid",
    [None, "{", "\x00", "[]", "imbalance: 3", "replicates: 2\nimbalance: {kind: 'mine:Tail'}"],
)
def test_a_grid_that_does_not_say_it(grid, tmp_path):
    if grid is not None:
        (tmp_path / "grid.yaml").write_text(grid)
    assert asked(grid_of(tmp_path)) is None


def test_a_case_counts_when_all_its_records_are_there():
    short = [row for row in STEP if row["record_id"] != STEP[-1]["record_id"]]
    assert ran.progress(study_of(short, GRID)) == "unfinished: 5 of 28 cases"
    assert ran.progress(study_of(STEP, GRID | {"replicates": 6})) == "complete"
    more = ran.progress(study_of(STEP, GRID | {"replicates": 5}))
    assert more == "complete, and 4 cases that grid.yaml lacks"


def test_networks_that_failed_are_counted(reader):
    rows = [tuple(row.values()) for row in reader.rows("ended")]
    assert rows == [
        ("made_up", "Oversampling", "1", "24", "1", "0"),
        ("made_up", "Undersampling", "1", "24", "0", "1"),
    ]


def test_tracebacks_beyond_many_are_counted(tmp_path):
    (tmp_path / "failures").mkdir()
    for i in range(ran.MOST + 3):
        (tmp_path / "failures" / f"{i:03}.txt").write_text(f"\xe9 line\nError: {i}\n\n", "latin-1")
    shown, number = ran.failures(tmp_path)
    assert (len(shown), number) == (ran.MOST, ran.MOST + 3)
    assert (shown[1].name, shown[1].last) == ("001.txt", "Error: 1")
    assert shown[1].text == "\ufffd line\nError: 1"


def test_a_selection_that_peeks_says_so(reader, text, results):
    gains = flattery(load(results / "rates"))
    rows = reader.rows("flattery")
    assert [values(row["AUC"])[0] for row in rows] == pytest.approx(
        list(100 * gains["auc"]), abs=6e-4
    )
    assert "It peeks at the test set" in text
    assert "Best of 2 (2 rates) by AUC on the test set, which flatters." in text


def test_verdicts_lead_to_their_figures(reader, text):
    claims = [id for id in reader.all("details", "id") if id.startswith("claim-")]
    assert claims == [f"claim-C{i}" for i in range(1, 15)]
    links = set(reader.all("a", "href"))
    assert "#figure-made_up-fig3" in links
    assert "#claim-C4" in links  # and back
    assert "Of the paper&#39;s 14 claims: " in text


def test_without_records_that_live(tmp_path, capsys):
    write([diverged(row) for row in made([(10.0, 0.5)], 1)], tmp_path / "results" / "lost")
    assert report.main(["--results", str(tmp_path / "results")]) == 0
    out = tmp_path / "results" / "report.html"
    assert capsys.readouterr().out == f"{out}\n"
    assert {row["n"] for row in Reader(out.read_text()).rows("means")} == {"0"}
    assert "all 3 records of step imbalance diverged" in out.read_text()


def test_one_method_has_nothing_to_be_compared_with(tmp_path):
    write(made([(10.0, 0.5)], 2, ("oversampling",)), tmp_path / "results" / "alone")
    out = tmp_path / "page.html"
    assert report.main(["--results", str(tmp_path / "results"), "--out", str(out)]) == 0
    assert "overall" not in Reader(out.read_text()).tables


def refused(capsys, *words):
    assert report.main(list(map(str, words))) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_a_mistake_is_one_line(results, tmp_path, capsys):
    assert refused(capsys, "--results", tmp_path / "no") == (
        f"--results {tmp_path / 'no'}: no such folder; python -m study.run makes it\n"
    )
    (tmp_path / "empty").mkdir()
    assert "no records in it yet" in refused(capsys, "--results", tmp_path / "empty")
    assert "Did you mean 'rates'?" in refused(capsys, "--results", results, "--study", "rate")
    assert refused(capsys, "--results", results, "--out", tmp_path) == (
        f"--out {tmp_path}: found a folder; needed: the name of a file\n"
    )
    write(candidates(validated=False), tmp_path / "unfair" / "rates")
    said = refused(capsys, "--results", tmp_path / "unfair", "--select", "best_on_validation")
    assert said.startswith("rates: best_on_validation: no AUC on validation images")
    assert said.count("\n") == 1


def test_a_page_that_cannot_be_written_is_not_there(results, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "page", lambda *_: "page")
    (tmp_path / "file").write_text("")
    said = refused(capsys, "--results", results, "--out", tmp_path / "file" / "page.html")
    assert said == f"{tmp_path / 'file' / 'page.html'}: cannot be written (File exists)\n"
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    out = shut / "page.html"
    with without_privileges(), pytest.raises(report.UserError, match="Permission denied"):
        report.write("page", out)
    assert list(shut.iterdir()) == []


def test_stopped_it_leaves_what_was_there(results, tmp_path, capsys, monkeypatch):
    out = tmp_path / "page.html"
    out.write_text("before")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "judge", stop)
    assert report.main(["--results", str(results), "--out", str(out)]) == 130
    assert capsys.readouterr().err == "stopped; no page was written\n"
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_it_is_a_command():
    words = [sys.executable, "-m", "analysis.report", "--nonsense"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("python -m analysis.report: unrecognized arguments: --nonsense\n")


def test_numbers_as_printed():
    assert number(-1234.5, 1).text == "\u22121,234.5"
    assert number(-0.001, 2, "+").text == number(0.001, 2, "+").text == "0.00"
    assert number(float("nan")).text == "\u2013"
    assert interval(1, 0.5, 2, 1, "+").text == "+1.0 [+0.5,\u00a0+2.0]"
    assert interval(1, float("nan"), float("nan"), 1).text == "1.0"
    assert (probability(0.0004).text, probability(0.04).text) == ("< 0.001", "0.040")


def test_what_stands_between_backticks_is_code(text):
    assert "<code>predictions: true</code> in a grid does it" in text
    assert report.coded("`a < b` and `c`") == "<code>a &lt; b</code> and <code>c</code>"
    assert report.coded("a ` < b") == "a ` &lt; b"
    assert report.coded("plain") == "plain"


def test_pages_of_one_figure_have_names_of_their_own(tmp_path):
    write(made([(10.0, 0.2), (100.0, 0.5)], 6, METHODS), tmp_path / "one")
    (hall,) = gallery.halls(
        {
            id: drawer
            for id, drawer in pages(gathered(tmp_path, [], "best_on_test", COLUMNS)).items()
            if "map_accuracy" in id
        }
    )
    names = [shown.name for shown in hall.shown.values()]
    assert len(set(names)) == len(names) == 3
    assert [name[-8:] for name in names[:2]] == ["(1 of 2)", "(2 of 2)"]
    for shown in hall.shown.values():
        assert "of 2)" not in shown.title, "the name has it"
    few = write(made([(10.0, 0.2), (100.0, 0.5)], 2, METHODS), tmp_path / "two")
    drawn = pages(gathered(few.parent, ["two"], "best_on_test", COLUMNS))
    (hall,) = gallery.halls({id: d for id, d in drawn.items() if "map_accuracy" in id})
    (absent,) = hall.absent.values()
    assert len(absent) == len(set(absent)) == 2


def test_formulas_become_words():
    assert in_words(r"$\mu$ = 0.2, $\rho$ = 10") == "\u03bc\u00a0=\u00a00.2, \u03c1\u00a0=\u00a010"
    assert in_words(r"$10^{-3} \times \alpha$, 5 $") == "10^\u22123 \u00d7\u03b1, 5 $"
    assert typeset("from -0.5 to well-known [-1, -2], >= 3, a - b, 2018-2019") == (
        "from \u22120.5 to well-known [\u22121, \u22122], \u2265 3, a - b, 2018-2019"
    )


def test_figures_have_names():
    assert named("fig3") == "Figure 3: AUC against the imbalance ratio"
    assert named("figB2") == "Figure B2: accuracy on the way, another cell"
    assert named("table4") == "Table 4: AUC by method and cell"
    assert named("ranks_auc") == "Mean ranks by AUC"
    assert named("of_ones_own") == "of ones own"
