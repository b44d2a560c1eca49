"""The plan on the screen: cells done and open, the work that is left, the effects that can be shown."""

import math
from pathlib import Path

import pytest

from precisionflow import stages
from precisionflow.ablation.aggregate import aggregate
from precisionflow.ablation.design import Variant, expand
from precisionflow.ablation.plan import plan
from precisionflow.ablation.power import power_of_equivalence, smallest_effect, units_for_equivalence
from precisionflow.ablation.sequential import Look
from precisionflow.app.plan import print_plan
from precisionflow.config import Experiment, load
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import EvaluatedCell, Results, cell_folder
from tests.finished_cells import fail, finish, prepare
from tests.synthetic import evaluations, language, plausible, regression


def begun(experiment: Experiment, folder: Path) -> Results:
    """Of the first variant three cells that took 10, 20 and 30 s and their evaluations 1 s each."""
    results, first = Results(folder), expand(experiment)[0].experiment
    prepare(first, results)
    for place, (seed, split) in enumerate([(0, 0), (1, 0), (0, 4)]):
        finish(first, results, seed=seed, split=split, seconds=10.0 * (place + 1))
    return results


def test_open_cells_are_expected_to_take_what_finished_ones_took(tmp_path: Path) -> None:
    made = plan(regression(), begun(regression(), tmp_path))
    first, second = made.rows
    assert [(row.variant, row.cells, row.open) for row in made.rows] == [
        ("homoscedastic", 14, 11),
        ("heteroscedastic", 14, 14),
    ]
    assert first.seconds == (11.0, 21.0, 31.0)
    assert (first.each, second.each) == (21.0, 21.0)
    assert (first.left, second.left) == (11 * 21.0, 14 * 21.0)


def test_the_variants_own_cells_tell_more_than_those_of_others(tmp_path: Path) -> None:
    results, (_, second) = begun(regression(), tmp_path), expand(regression())
    prepare(second.experiment, results)
    finish(second.experiment, results, seed=0, split=0, seconds=99.0)
    assert [row.each for row in plan(regression(), results).rows] == [21.0, 100.0]


def test_failed_cells_are_neither_done_nor_a_measure_of_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, first = begun(regression(), tmp_path), expand(regression())[0].experiment
    fail(first, results, seed=1, split=4)
    row, _ = plan(regression(), results).rows
    assert (row.failed, row.open, row.each) == (1, 10, 21.0)
    print_plan([regression()], folder=tmp_path)
    told = capsys.readouterr().out
    assert "noise: 28 cells, 3 done, 1 failed, 24 open; 8 min of work are left" in told
    assert "--retry-failed` tries again" in told


def test_cells_of_another_configuration_are_open(tmp_path: Path) -> None:
    results = begun(regression(), tmp_path)
    longer = regression(
        ("objective: {kind: gaussian_nll}\n", "objective: {kind: gaussian_nll}\ntraining: {steps: 7}\n")
    )
    assert [row.open for row in plan(longer, results).rows] == [14, 14]
    judged = regression(("seeds: [0, 1]", "seeds: [0, 1]\nevaluation: {levels: [0.9]}"))
    assert [row.open for row in plan(judged, results).rows] == [14, 14]
    few = regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"))
    assert [row.open for row in plan(few, results).rows] == [0, 2]


def test_the_plan_of_nothing_is_told_with_what_the_units_can_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_plan([regression()], folder=tmp_path)
    told = capsys.readouterr().out
    assert "noise: 28 cells, 0 done, 28 open; no cell is measured yet" in told
    effect = smallest_effect(std=1.0, n=7, level=0.05, overlap=1 / 9)
    assert f"7 splits, 1 contrast: 80 % power for a difference of {effect:.3g} standard dev" in told
    assert not list(tmp_path.iterdir())


def test_effects_are_in_the_metrics_unit_once_the_spread_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, results = regression(), Results(tmp_path)
    folders = evaluations(experiment, tmp_path / "cells", plausible)
    aggregate([experiment], evaluations=folders, out=results.aggregate)
    made = plan(experiment, results)
    assert [each.metric for each in made.detectable] == ["nll", "crps", "rmse"]
    nll = made.detectable[0]
    assert nll.effect == pytest.approx(smallest_effect(std=nll.std, n=7, level=0.05, overlap=44 / 398))
    assert 0.001 < nll.std < 0.01
    print_plan([experiment], folder=tmp_path)
    told = capsys.readouterr().out
    assert f"80 % power for a difference in nll of {nll.effect:.3g}\n" in told
    assert "equivalence" not in told


def test_units_that_agree_show_no_effect_and_each_data_set_has_its_own_splits(tmp_path: Path) -> None:
    """A third of the rows tests on one set, half on the other: the splits of the latter share the more."""
    sets = "".join(f"    fold{k}: {{task.source.split: {{kind: k_fold, k: {k}}}}}\n" for k in (3, 2))
    experiment, results = regression(("ablation:\n", f"ablation:\n  datasets:\n{sets}")), Results(tmp_path)
    (told,) = plan(experiment, results).detectable
    assert told.effect == pytest.approx(smallest_effect(std=1.0, n=7, level=0.05, overlap=1.0))

    def agreed(variant: Variant, seed: int, split: int) -> dict[str, float]:
        return plausible(variant, seed, split) | {"nll": 1.0}

    folders = evaluations(experiment, tmp_path / "cells", agreed)
    aggregate([experiment], evaluations=folders, out=results.aggregate)
    assert [each.metric for each in plan(experiment, results).detectable] == ["crps", "rmse"]


def test_the_power_of_equivalence_is_told_where_a_margin_is_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    margins = ("ablation:\n", "ablation:\n  margins: {nll: {absolute: 0.004}, rmse: {absolute: 1.0e-9}}\n")
    experiment, results = regression(margins), Results(tmp_path)
    aggregate(
        [experiment],
        evaluations=evaluations(experiment, tmp_path / "cells", plausible),
        out=results.aggregate,
    )
    nll, crps, rmse = plan(experiment, results).detectable
    given = {"std": nll.std, "level": 0.05, "overlap": 44 / 398}
    assert nll.equivalent == power_of_equivalence(0.0, margin=0.004, n=7, **given)
    assert nll.enough == units_for_equivalence(0.0, margin=0.004, **given)
    assert math.isnan(crps.equivalent)
    assert (rmse.equivalent, math.isnan(rmse.enough)) == (pytest.approx(0, abs=1e-3), True)
    print_plan([experiment], folder=tmp_path)
    told = capsys.readouterr().out
    shown = (
        f"at least {100 * nll.equivalent:.0f} % for equivalence within ±0.004 where nothing differs, "
        f"{nll.enough:,.0f} splits"
    )
    assert f"in nll of {nll.effect:.3g}; {shown} for 80 %" in told
    assert "0 % for equivalence within ±1e-09 where nothing differs, no number of splits for 80 %" in told


def test_the_strictest_level_of_holm_counts(tmp_path: Path) -> None:
    made = plan(language(("seeds: [0, 1, 2]", "seeds: [0, 1, 2, 3, 4, 5, 6, 7]")), Results(tmp_path))
    assert (made.units, made.contrasts, made.level) == (8, 4, pytest.approx(0.0125))
    assert made.detectable[0].effect == pytest.approx(smallest_effect(std=1.0, n=8, level=0.0125))


def test_at_the_last_of_several_looks_a_test_is_stricter(tmp_path: Path) -> None:
    seeds = ("seeds: [0, 1]\nsplits: [0, 1, 2, 3, 4, 5, 6]", "seeds: [0, 1, 2, 3, 4, 5, 6, 7]")
    made = plan(regression(seeds, ("ablation:\n", "ablation:\n  looks: [6, 8]\n")), Results(tmp_path))
    last = Look(8, (6, 8)).nominal_level(0.05)
    assert made.level == last < 0.05
    assert made.detectable[0].effect == pytest.approx(smallest_effect(std=1.0, n=8, level=last))


def test_too_few_units_are_told_instead_of_an_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_plan([language()], folder=tmp_path)
    assert "no verdict: 3 seeds, 4 contrasts: 8 needed" in capsys.readouterr().out


def test_work_that_is_left_and_done_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(regression(), tmp_path)
    print_plan([regression()], folder=tmp_path)
    told = capsys.readouterr().out
    assert "noise: 28 cells, 3 done, 25 open; 9 min of work are left" in told
    line = next(line for line in told.splitlines() if " homoscedastic" in line)
    assert line.split()[2:] == ["14", "3", "11", "21", "4", "min"]
    capsys.readouterr()
    few = regression(
        ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0]"),
        ("      heteroscedastic: {objective.kind: gaussian_nll}\n", ""),
    )
    print_plan([few], folder=tmp_path)
    told = capsys.readouterr().out
    assert "2 cells, 2 done, 0 open; nothing is left" in told
    assert "nothing is contrasted" in told


PARTS = {
    "pc-laws-outliers": (120, 3),
    "shakespeare-parts": (99, 10),
    "sst2-parts": (28, 3),
    "ewt-parts": (28, 3),
}
"""Studies of the parts of predictive coding and attention: cells, contrasts on one data set."""
SMALLEST = "pc-laws-outliers"


@pytest.mark.parametrize(("name", "cells", "contrasts"), [(name, *counts) for name, counts in PARTS.items()])
def test_studies_of_parts_are_planned_and_can_have_verdicts(
    name: str, cells: int, contrasts: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_plan([load(name)], folder=tmp_path)
    told = capsys.readouterr().out
    assert f"{name}: {cells} cells, 0 done, {cells} open" in told
    assert f"{contrasts} contrasts: 80 % power" in told
    tuned = "tuning before them: 12 studies of 8 trials, 0 of 96 trials done" in told
    assert tuned == (name == SMALLEST)


@pytest.mark.parametrize("name", ["sst2", "ewt"])
def test_a_study_of_one_part_has_the_settings_of_its_experiment(name: str) -> None:
    """But for one network, one split, fewer steps, and what is compared."""
    whole, part = (load(of).model_dump(mode="json") for of in (name, f"{name}-parts"))
    for tree in (whole, part):
        tree["evaluation"].pop("held_out")
        tree["model"].pop("posterior")
        tree["model"]["attention"].pop("potential")
        for setting in ("steps", "epochs", "validate_every"):
            tree["training"].pop(setting)
    for same in ("task", "model", "objective", "training", "engine", "evaluation"):
        assert part[same] == whole[same], same


def test_a_variant_of_the_smallest_of_them_runs(tmp_path: Path) -> None:
    """Shortened to two steps."""
    short = [
        "training.steps=2",
        "training.warmup_steps=0",
        "training.batch_size=8",
        "task.train=64",
        "task.valid=8",
    ]
    whole = load(SMALLEST, [*short, "training.validate_every=1", "task.test=16", "seeds=[0]"])
    variant = next(
        v.experiment for v in expand(whole) if v.name == "student_t" and v.experiment.task.source.outliers
    )
    stages.prepare([variant], out=tmp_path / "data")
    stages.train(variant, data=tmp_path / "data", out=tmp_path / "model")
    stages.evaluate(variant, data=tmp_path / "data", model=tmp_path / "model", out=tmp_path / "out")
    metrics = read_parquet(EvaluatedCell(cell_folder(tmp_path / "out", 0, 0)).metrics, METRICS)
    assert {"excess_nll", "validation_loss"} <= set(metrics["metric"].to_pylist())


def test_cells_that_would_be_copied_are_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, new = begun(regression(), tmp_path / "source"), Results(tmp_path / "new")
    first, second = plan(regression(), new, reused=[source]).rows
    assert (first.seconds, first.open, second.open) == ((11.0, 21.0, 31.0), 11, 14)
    assert plan(regression(), new).rows[0].open == 14
    print_plan([regression()], folder=new.folder, reused=[source.folder])
    assert "noise: 28 cells, 3 done, 25 open" in capsys.readouterr().out
    with pytest.raises(ValueError, match="none: has no prepared data; give a folder"):
        print_plan([regression()], folder=new.folder, reused=[tmp_path / "none"])


def test_what_lies_in_the_folder_comes_before_what_would_be_copied(tmp_path: Path) -> None:
    """As in `run --reuse`, which replaces nothing."""
    source, first = begun(regression(), tmp_path / "source"), expand(regression())[0].experiment
    own = Results(tmp_path / "own")
    prepare(first, own, source_sha256="1")
    assert plan(regression(), own, reused=[source]).rows[0].open == 14
