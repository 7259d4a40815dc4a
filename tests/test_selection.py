"""Of several rates and runs, the one reported: against plain loops, and what the command says."""

import itertools
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from analysis import candidates, figures
from analysis.figures import drawers
from analysis.selection import CHOICE, SCORES, flattery, remark, select
from study.errors import UserError
from study.methods import METHODS
from tests.conftest import ROOT
from tests.test_figures import brute_force, caption, diverged, frame, lines, record, write

RATES = (0.05, 0.005, 0.0005, 0.00005)


def sweep(methods=("baseline", "oversampling"), validated=True, coarse=False, **changes):
    """Eight candidates for each of 6 cases and method: some diverged, and with `coarse` ties."""
    rng = np.random.default_rng(7)
    rows = []
    for rho, mu, method in itertools.product((10.0, 50.0, 100.0), (0.2, 0.5), methods):
        for rate, run in itertools.product(RATES, (0, 1)):
            auc, fair = rng.choice([0.8, 0.9], 2) if coarse else rng.uniform(0.7, 1, 2)
            row = record("step", rho, mu, 0, method, base_rate=rate, run=run, **changes)
            row |= {"auc": auc, "accuracy": 1.6 * auc - 0.7}
            row |= {"validation_auc": fair if validated else None}
            row |= {"record_id": f"{row['record_id']}-{rate}-{run}"}
            rows.append(lost(row) if rng.random() < 0.2 else row)
    return [rows[i] for i in rng.permutation(len(rows))]


def lost(row):
    return diverged(row) | {"validation_auc": None}


def without_a_case(rows):
    """One case of which no baseline lives: it is in no mean."""
    return [
        lost(row) if (row["case_id"], row["method"]) == ("step-10.0-0.2-0", "baseline") else row
        for row in rows
    ]


def best(rows, by):
    """The records chosen, by the rule in words."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["case_id"], row["method"], row.get("to", 1.0)].append(row)
    kept = set()
    for group in groups.values():
        first = group[0]
        for row in group[1:]:
            mine, theirs = row[SCORES[by]], first[SCORES[by]]
            if row["status"] == "diverged" and first["status"] != "diverged":
                better = False
            elif first["status"] == "diverged" and row["status"] != "diverged":
                better = True
            elif mine != theirs:
                better = mine > theirs
            elif row["base_rate"] != first["base_rate"]:
                better = row["base_rate"] > first["base_rate"]
            else:
                better = row["run"] < first["run"]
            first = row if better else first
        kept.add(first["record_id"])
    return [row for row in rows if row["record_id"] in kept]


@pytest.mark.parametrize("by", SCORES)
@pytest.mark.parametrize("coarse", [False, True])
def test_the_choice_is_that_of_a_loop(by, coarse):
    rows = sweep(coarse=coarse)
    found = select(frame(rows), by)
    assert list(found["record_id"]) == [row["record_id"] for row in best(rows, by)]
    assert len(found) == 12
    assert not found.duplicated(CHOICE).any()
    assert found.equals(frame(rows).loc[found.index])


def test_the_two_rules_may_choose_differently():
    rows = sweep()
    assert best(rows, "best_on_test") != best(rows, "best_on_validation")


@pytest.mark.parametrize("by", SCORES)
def test_one_candidate_is_the_choice(by):
    rows = [row for row in sweep(validated=False) if (row["base_rate"], row["run"]) == (0.05, 1)]
    data = frame(rows)
    assert select(data, by).equals(data)
    assert remark(data, by) == ""


@pytest.mark.parametrize("by", SCORES)
def test_where_all_diverged_one_stays(by):
    rows = [lost(row) for row in sweep(methods=["baseline"])]
    found = select(frame(rows), by)
    assert len(found) == 6
    assert set(zip(found["base_rate"], found["run"], strict=True)) == {(0.05, 0)}


def test_each_ratio_that_is_sampled_to_has_its_own_choice():
    rows = [
        row | {"to": to, "record_id": f"{row['record_id']}-{to}"}
        for to in (1.0, 5.0)
        for row in sweep()
    ]
    assert len(select(frame(rows), "best_on_test")) == 24


def test_the_choice_does_not_hang_on_the_index():
    data = pd.concat([frame(sweep(["baseline"])), frame(sweep(["oversampling"]))])
    assert len(select(data, "best_on_test")) == 12


def test_how_much_the_paper_s_rule_flatters():
    rows = without_a_case(sweep())
    gaps = defaultdict(list)
    peeked, fair = (
        {(row["case_id"], row["method"]): row for row in best(rows, by)} for by in SCORES
    )
    for key, row in peeked.items():
        if row["auc"] is not None:
            gaps[key[1]].append([row[s] - fair[key][s] for s in ("auc", "accuracy")])
    found = flattery(frame(rows)).set_index("method")
    assert dict(found["n"]) == {"baseline": 5, "oversampling": 6}
    for method, values in gaps.items():
        assert found.loc[method, ["auc", "accuracy"]].tolist() == pytest.approx(
            np.mean(values, axis=0)
        )
    assert (found["auc"] > 0).all()


def test_nothing_flatters_where_validation_tells_what_the_test_does():
    rows = [row | {"validation_auc": row["auc"]} for row in sweep()]
    assert flattery(frame(rows))["auc"].tolist() == [0, 0]


def test_without_validation_the_other_rule_is_refused():
    data = frame(sweep(validated=False))
    for ask in (lambda: select(data, "best_on_validation"), lambda: flattery(data)):
        with pytest.raises(UserError, match="no AUC on validation images") as error:
            ask()
        assert "for 12 pairs of case and method" in str(error.value)
        assert "\n" not in str(error.value)


def test_where_one_candidate_lives_no_validation_is_needed():
    rows = [lost(row) for row in sweep()]
    for row in rows:
        if (row["base_rate"], row["run"]) == (0.0005, 1):
            row |= {"status": "ok", "auc": 0.6, "accuracy": 0.5}
    found = select(frame(rows), "best_on_validation")
    assert list(found["status"]) == ["ok"] * 12


@pytest.mark.parametrize(
    ("keep", "by", "said"),
    [
        (
            lambda row: True,
            "best_on_test",
            "Best of 8 (4 rates x 2 runs) by AUC on the test set, which flatters.",
        ),
        (
            lambda row: row["run"] == 0,
            "best_on_validation",
            "Best of 4 (4 rates) by AUC on validation images.",
        ),
        (
            lambda row: row["base_rate"] == 0.05 or row["rho"] == 10,
            "best_on_validation",
            "Best of 2-8 (4 rates x 2 runs) by AUC on validation images.",
        ),
    ],
)
def test_what_a_caption_says(keep, by, said):
    assert remark(frame([row for row in sweep() if keep(row)]), by) == said


@pytest.mark.parametrize("by", SCORES)
def test_figures_are_drawn_after_the_selection(by):
    rows = sweep()
    data = frame(rows)
    picture = drawers(select(data, by), remark(data, by))["fig3"]()
    means = brute_force(best(rows, by), "mu", "rho", "auc")
    for mu, axes in zip((0.2, 0.5), picture.axes, strict=True):
        for id in ("baseline", "oversampling"):
            expected = [means[mu, rho, id] for rho in (10, 50, 100)]
            assert lines(axes)[METHODS[id].label] == pytest.approx(expected)
    assert caption(picture).endswith(remark(data, by))


def run(command, capsys, *words):
    code = command(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_figures_command_chooses_by_the_rule_asked_for(tmp_path, capsys):
    write(sweep(), tmp_path / "results" / "fair")
    write(sweep(validated=False), tmp_path / "results" / "unfair")
    words = ["--results", str(tmp_path / "results"), "--format", "svg"]
    drawn = []
    for by in SCORES:
        code, _, err = run(figures.main, capsys, *words, "--study", "fair", "--select", by)
        assert (code, err) == (0, "")
        drawn.append((tmp_path / "results" / "figures" / "fair" / "fig3.svg").read_bytes())
    assert drawn[0] != drawn[1]
    assert run(figures.main, capsys, *words, "--study", "fair")[0] == 0
    assert (tmp_path / "results" / "figures" / "fair" / "fig3.svg").read_bytes() == drawn[0]
    fairly = [*words, "--select", "best_on_validation"]
    code, out, err = run(figures.main, capsys, *fairly, "--study", "fair", "unfair")
    assert (code, out) == (2, "")
    assert err.startswith("unfair: best_on_validation: no AUC on validation images")
    assert err.count("\n") == 1
    (tmp_path / "results" / "figures" / "fair" / "fig3.svg").unlink()
    code, out, err = run(figures.main, capsys, *fairly)
    assert code == 0
    assert err.startswith("left out: unfair: best_on_validation: no AUC on validation images")
    assert (tmp_path / "results" / "figures" / "fair" / "fig3.svg").read_bytes() == drawn[1]


def test_other_rates_without_a_choice_are_two_protocols(tmp_path, capsys):
    rows = [row for row in sweep() if row["base_rate"] == (0.05 if row["rho"] == 10 else 0.005)]
    write([row for row in rows if row["run"] == 0], tmp_path / "results" / "mixed")
    code, _, err = run(candidates.main, capsys, "--results", str(tmp_path / "results"))
    assert code == 2
    assert "mixed: records with different base_rate (0.005, 0.05) in one study" in err


def table(out, heading):
    """The rows of the table below a heading, by the words before two spaces."""
    rows = out.split(heading)[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]


def percent(values):
    return f"{100 * np.mean(values):.2f}"


def test_the_command_tells_how_each_candidate_fared(tmp_path, capsys):
    rows = sweep()
    rows[0] |= {"status": "chance"}
    write(rows, tmp_path / "results" / "made_up")
    code, out, err = run(candidates.main, capsys, "--results", str(tmp_path / "results"))
    assert (code, err) == (0, "")
    heading, *lines = table(out, "Records ok/chance/diverged, and mean test AUC")
    assert heading == ["rate", "run", "Baseline", "Oversampling"]
    for (rate, run_), line in zip(itertools.product(RATES, (0, 1)), lines, strict=True):
        expected = [f"{rate:g}", str(run_)]
        for method in ("baseline", "oversampling"):
            own = [
                r for r in rows if (r["base_rate"], r["run"], r["method"]) == (rate, run_, method)
            ]
            counts = [sum(r["status"] == s for r in own) for s in ("ok", "chance", "diverged")]
            auc = percent([r["auc"] for r in own if r["auc"] is not None])
            expected.append(f"{'/'.join(map(str, counts))} {auc}")
        assert line == expected


@pytest.mark.parametrize("validated", [True, False])
def test_the_command_tells_what_choosing_gains(validated, tmp_path, capsys):
    rows = without_a_case(sweep(validated=validated))
    write(rows, tmp_path / "results" / "made_up")
    code, out, err = run(candidates.main, capsys, "--results", str(tmp_path / "results"))
    assert (code, err) == (0, "")
    rules = list(SCORES)[: 2 if validated else 1]
    heading, *lines = table(out, "Mean test scores %")
    assert heading[-4:] == [f"{rate:g}" for rate in RATES]
    for method, line in zip(("baseline", "oversampling"), lines, strict=True):
        alive = [r for r in rows if r["method"] == method and r["auc"] is not None]
        picks = [best(alive, by) for by in rules]
        auc, accuracy = (
            [100 * np.mean([r[score] for r in pick]) for pick in picks]
            for score in ("auc", "accuracy")
        )
        cells = [f"{value:.2f}" for pair in zip(auc, accuracy, strict=True) for value in pair]
        if validated:
            cells += [f"{a - b:+.2f}" for a, b in (auc, accuracy)]
        cells += ["-"] * (6 - len(cells)) + [f"{len(picks[0])}"]
        cells += ["/".join(str(sum(r["base_rate"] == x for r in p)) for p in picks) for x in RATES]
        assert line == [METHODS[method].label, *cells]
    assert "It peeks at the test set" in out
    assert ("how much it flatters" in out) == validated
    assert ("by how much cannot be said" in out) != validated


def test_a_study_without_candidates_is_one_line(tmp_path, capsys):
    write([record("step", 10.0, 0.5, 0, "baseline")], tmp_path / "results" / "plain")
    code, out, _ = run(candidates.main, capsys, "--results", str(tmp_path / "results"))
    said = "no candidates; each case and method has one base rate and one run"
    assert (code, out.splitlines()) == (0, [f"plain: {said}"])


def test_as_typed(tmp_path):
    write(sweep(), tmp_path / "results" / "made_up")
    go = [sys.executable, "-W", "error", "-m", "analysis.selection", "--results"]
    results = tmp_path / "results"
    done, wrong = (
        subprocess.run([*go, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        for words in ((results, "--study", "made_up"), (results, "--study", "made"))
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.00005" not in done.stdout
    assert "5e-05" in done.stdout
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("--study made: no study of that name")
