"""Several data sets: each is one unit; scales, missing cells, ranks, and the coverage of what is stated."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.across import scale_of
from precisionflow.ablation.aggregate import aggregate, read_aggregate
from precisionflow.ablation.design import Variant, expand
from precisionflow.config import Experiment
from precisionflow.records.metrics import metric_named
from precisionflow.results.failures import write_failure
from precisionflow.results.layout import cell_folder
from precisionflow.results.stage import once
from tests.synthetic import evaluations, language, plausible, regression

SETS = ("boston", "energy", "wine", "yacht")
SPLITS = 3


def experiment(*replacements: tuple[str, str], sets: int = 3, levels: int = 2) -> Experiment:
    """Noise levels on data sets, by splits."""
    named = "".join(f"    {name}: {{task.source.path: {name}}}\n" for name in SETS[:sets])
    third = "      natural: {objective.kind: natural}\n"
    last = "      heteroscedastic: {objective.kind: gaussian_nll}\n"
    return regression(
        ("ablation:\n", f"ablation:\n  metrics: [nll, rmse]\n  datasets:\n{named}"),
        ("splits: [0, 1, 2, 3, 4, 5, 6]", f"splits: {list(range(SPLITS))}"),
        ("seeds: [0, 1]", "seeds: [0]"),
        (last, last + third * (levels > 2)),
        ("source: {kind: scikit_learn, name: diabetes}", "source: {kind: uci_folder, path: boston}"),
        *replacements,
    )


def effect(variant: Variant, split: int) -> float:
    """-1, -2, -4, ... in nll by data set, and a little more by split; half as much of the third level."""
    sizes = dict(zip(SETS, (1.0, 2.0, 4.0, 8.0), strict=True))
    level = {"homoscedastic": 0.0, "heteroscedastic": 1.0, "natural": 0.5}[variant.name]
    return -level * (sizes[variant.dataset] + 0.1 * split)


def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
    """nll with an additive effect, rmse with the same as a factor 2^(effect / 10) on another scale for each set."""
    scale = 1.0 + 100 * SETS.index(variant.dataset)
    shift = effect(variant, split)
    values = {"nll": 3.0 * split + shift, "rmse": scale * (1 + split) * 2 ** (shift / 10)}
    return plausible(variant, seed, split) | values


Lost = tuple[tuple[str, str, int], ...]


def found(of: Experiment, folder: Path, *, failed: Lost = ()) -> tuple[list[dict], list[dict]]:
    """Rows of ACROSS and RANKS; (data set, variant, split) failed."""
    folders = evaluations(of, folder, measure)
    for variant, cells in zip(expand(of), folders, strict=True):
        for dataset, name, split in failed:
            if (dataset, name) == (variant.dataset, variant.name):
                fail(cells, variant, split)
    aggregate([of], evaluations=folders, out=folder / "out")
    tables = read_aggregate(folder / "out")
    return tables.across.to_pylist(), tables.ranks.to_pylist()


def fail(cells: Path, variant: Variant, split: int) -> None:
    once(
        cell_folder(cells, 0, split),
        verb="evaluate",
        inputs=["failed", split],
        work=lambda out: write_failure(
            out, variant.experiment, seed=0, split=split, stage="train", error=ValueError("nan")
        ),
    )


def test_the_effect_is_the_t_interval_over_data_sets(tmp_path: Path) -> None:
    (nll, rmse), _ = found(experiment(), tmp_path)
    effects = np.array([-1.1, -2.1, -4.1])
    half = stats.t(2).ppf(0.975) * effects.std(ddof=1) / math.sqrt(3)
    assert (nll["metric"], nll["scale"], nll["n"], nll["failed"]) == ("nll", "difference", 3, 0)
    assert [nll[k] for k in ("effect", "low", "high", "std")] == pytest.approx(
        [effects.mean(), effects.mean() - half, effects.mean() + half, effects.std(ddof=1)]
    )
    assert nll["p"] == pytest.approx(stats.ttest_1samp(effects, 0).pvalue)
    assert (nll["variant"], nll["baseline"], nll["axis"]) == ("heteroscedastic", "homoscedastic", "noise")
    assert nll["verdict"] == "too few data sets: 3 of 6"
    assert (rmse["scale"], rmse["effect"]) == ("log ratio", pytest.approx(math.log(2) / 10 * effects.mean()))


def test_the_noise_of_each_effect_is_no_part_of_what_lies_between_sets(tmp_path: Path) -> None:
    """The same overlap as in each set's own interval."""
    (nll, _), _ = found(experiment(), tmp_path)
    within = np.var([0.0, 0.1, 0.2], ddof=1) * (1 / SPLITS + 44 / 398)
    assert nll["between"] == pytest.approx(math.sqrt(nll["std"] ** 2 - within))


def test_one_data_set_has_nothing_between(tmp_path: Path) -> None:
    assert found(experiment(sets=1), tmp_path) == ([], [])


def test_one_unit_a_set_leaves_what_lies_between_unknown(tmp_path: Path) -> None:
    (nll, _), _ = found(experiment((f"splits: {list(range(SPLITS))}", "splits: [0]")), tmp_path)
    assert math.isnan(nll["between"])
    assert nll["effect"] == pytest.approx(-7 / 3)
    tables = read_aggregate(tmp_path / "out")
    rows = [*tables.iqm.to_pylist(), *tables.profiles.to_pylist()]
    ends = [row[end] for row in rows for end in ("low", "high")]
    assert all(math.isnan(end) for end in [*ends, nll["improvement_low"], nll["improvement_high"]])


def test_scores_on_another_scale_on_each_set_are_compared_by_ratios() -> None:
    ratios = ("rmse", "interval_score_90", "excess_mse", "perplexity", "seconds_per_step")
    differences = ("nll", "accuracy", "coverage_90", "bits_per_byte")
    assert {scale_of(metric_named(name)) for name in ratios} == {"log ratio"}
    assert {scale_of(metric_named(name)) for name in differences} == {"difference"}


def test_a_relative_margin_is_one_of_ratios_and_an_absolute_one_of_differences(tmp_path: Path) -> None:
    margins = "  margins: {nll: {absolute: 9}, rmse: {relative: 0.5}}\n  axes:\n"
    (nll, rmse), _ = found(experiment(("  axes:\n", margins)), tmp_path)
    assert (nll["margin"], rmse["margin"]) == (9, pytest.approx(math.log(1.5)))
    assert rmse["equivalence"] < 0.05


LOST = (("energy", "heteroscedastic", 1),)


@pytest.mark.parametrize(
    ("rule", "n", "told"),
    [("refuse", 0, -1), ("drop_pair", 3, -2.1), ("worst_rank", 3, (-2.0 + 3.0 - 2.2) / 3)],
)
def test_failed_cells_count_as_the_experiment_says(rule: str, n: int, told: float, tmp_path: Path) -> None:
    """Of the worst unit that any variant measured: the baseline's 6 on split 2, where 3 is the baseline's own."""
    of = experiment(("ablation:\n", f"ablation:\n  missing: {rule}\n"))
    (nll, _), ranks = found(of, tmp_path, failed=LOST)
    assert (nll["n"], nll["failed"]) == (n, int(rule == "refuse"))
    if rule == "refuse":
        assert nll["verdict"] == "refused: 1 of 3 data sets without an effect to compare"
        assert math.isnan(nll["effect"])
    else:
        assert nll["effect"] == pytest.approx((-1.1 + told - 4.1) / 3)
    assert ranks == []


def test_a_set_without_a_pair_is_left_out(tmp_path: Path) -> None:
    of = experiment(("ablation:\n", "ablation:\n  missing: drop_pair\n"))
    lost = tuple(("energy", "heteroscedastic", split) for split in range(SPLITS))
    (nll, _), _ = found(of, tmp_path, failed=lost)
    assert (nll["n"], nll["failed"], nll["effect"]) == (2, 1, pytest.approx(-2.6))


def test_variants_are_ranked_by_their_means(tmp_path: Path) -> None:
    _, ranks = found(experiment(levels=3), tmp_path)
    nll = [row for row in ranks if row["metric"] == "nll"]
    assert [(row["variant"], row["mean_rank"]) for row in nll] == [
        ("homoscedastic", 3),
        ("heteroscedastic", 1),
        ("natural", 2),
    ]
    assert {(row["sets"], row["chi2"], row["p"]) for row in nll} == {(3, 6, 1 / 36)}


def test_few_sets_or_variants_are_not_ranked(tmp_path: Path) -> None:
    assert found(experiment(), tmp_path / "variants")[1] == []
    assert found(experiment(levels=3, sets=2), tmp_path / "sets")[1] == []


@pytest.mark.parametrize(("rule", "rank"), [("refuse", 0), ("drop_pair", 1), ("worst_rank", 5 / 3)])
def test_failed_units_rank_as_the_experiment_says(rule: str, rank: float, tmp_path: Path) -> None:
    """Two failed splits of three of the best variant count as 6 each, so that it ranks last there."""
    of = experiment(("ablation:\n", f"ablation:\n  missing: {rule}\n"), levels=3)
    lost = (("energy", "heteroscedastic", 1), ("energy", "heteroscedastic", 0))
    _, ranks = found(of, tmp_path, failed=lost)
    mine = [
        row["mean_rank"] for row in ranks if (row["metric"], row["variant"]) == ("nll", "heteroscedastic")
    ]
    assert mine == ([pytest.approx(rank)] if rank else [])


def test_a_score_of_0_has_no_ratio(tmp_path: Path) -> None:
    of = experiment(("ablation:\n", "ablation:\n  missing: drop_pair\n"))

    def exact(variant: Variant, seed: int, split: int) -> dict[str, float]:
        return measure(variant, seed, split) | ({"rmse": 0.0} if variant.dataset == "energy" else {})

    aggregate([of], evaluations=evaluations(of, tmp_path, exact), out=tmp_path / "out")
    rmse = read_aggregate(tmp_path / "out").across.to_pylist()[1]
    assert (rmse["n"], rmse["failed"]) == (2, 1)


def together(of: Experiment, folder: Path, measure=measure) -> tuple[list[dict], list[dict], list[dict]]:
    """Rows of ACROSS, IQM and PROFILES."""
    aggregate([of], evaluations=evaluations(of, folder, measure), out=folder / "out")
    tables = read_aggregate(folder / "out")
    return tables.across.to_pylist(), tables.iqm.to_pylist(), tables.profiles.to_pylist()


def test_interquartile_means_are_relative_to_the_first_variant_on_each_set(tmp_path: Path) -> None:
    _, means, _ = together(experiment(), tmp_path)
    for metric, scale in (("nll", "difference"), ("rmse", "log ratio")):
        base, ours = [row for row in means if row["metric"] == metric]
        assert (base["variant"], ours["variant"]) == ("homoscedastic", "heteroscedastic")
        assert (ours["reference"], ours["scale"], ours["n"], ours["sets"]) == ("homoscedastic", scale, 9, 3)
        assert ours["low"] <= ours["iqm"] <= ours["high"]
    relative = [3 * (k - 1) - size - 0.1 * k for size in (1, 2, 4) for k in range(SPLITS)]
    ours = next(row for row in means if (row["metric"], row["variant"]) == ("nll", "heteroscedastic"))
    assert ours["iqm"] == pytest.approx(stats.trim_mean(relative, 0.25))


def test_improvement_is_that_of_the_better_direction(tmp_path: Path) -> None:
    """Runs are lower by 1.1, 2.1 and 4.1, in steps of 3 between splits: of 9 pairs 6, 6 and 8."""
    (nll, rmse), _, _ = together(experiment(), tmp_path)
    assert nll["improvement"] == pytest.approx((6 + 6 + 8) / 27)
    assert nll["improvement_low"] <= nll["improvement"] <= nll["improvement_high"]
    assert rmse["improvement"] > 0.5
    higher = experiment(("metrics: [nll, rmse]", "metrics: [nll, coverage_90]"))

    def tied(variant: Variant, seed: int, split: int) -> dict[str, float]:
        return measure(variant, seed, split) | {"coverage_90": 0.8}

    (_, coverage), _, profiles = together(higher, tmp_path / "tied", tied)
    assert {row["metric"] for row in profiles} == {"nll"}
    assert [coverage[f"improvement{end}"] for end in ("", "_low", "_high")] == [0.5] * 3


def test_profiles_rise_from_the_best_run_to_the_worst(tmp_path: Path) -> None:
    _, _, profiles = together(experiment(), tmp_path)
    for name, first in (("homoscedastic", 0), ("heteroscedastic", 1 / 9)):
        shown = [row for row in profiles if (row["metric"], row["variant"]) == ("nll", name)]
        shares, thresholds = [row["share"] for row in shown], [row["threshold"] for row in shown]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (pytest.approx(first), 1)
        assert thresholds == sorted(thresholds)
        assert (thresholds[0], thresholds[-1]) == (pytest.approx(-3 - 4), pytest.approx(3))


def test_one_set_and_refused_cells_have_no_runs_together(tmp_path: Path) -> None:
    assert together(experiment(sets=1), tmp_path)[1:] == ([], [])
    of = experiment()
    folders = evaluations(of, tmp_path / "failed", measure)
    shutil.rmtree(folders[0] / "seed-0-split-1")
    fail(folders[0], expand(of)[0], 1)
    aggregate([of], evaluations=folders, out=tmp_path / "failed" / "out")
    tables = read_aggregate(tmp_path / "failed" / "out")
    assert (tables.iqm.num_rows, tables.profiles.num_rows) == (0, 0)


def test_a_score_that_is_to_be_high_is_read_the_other_way_round(tmp_path: Path) -> None:
    """Accuracies that are higher by 0.1 or 0.2: ranked first, better than the baseline, profiles from the highest."""
    named = "".join(f"    {name}: {{task.source.path: {name}.txt}}\n" for name in SETS[:3])
    of = language(
        ("source: {kind: scikit_learn_text}", "source: {kind: text_file, path: boston.txt}"),
        ("ablation:\n", f"ablation:\n  metrics: [accuracy]\n  datasets:\n{named}"),
    )

    def right(variant: Variant, seed: int, split: int) -> dict[str, float]:
        levels = ("predictive_coding", "precision")
        raised = 0.1 * sum(level in levels for level in variant.levels.values())
        return plausible(variant, seed, split) | {"accuracy": 0.5 + raised + 0.01 * seed}

    (first, *_), _, profiles = together(of, tmp_path, right)
    assert (first["scale"], first["improvement"]) == ("difference", 1)
    assert first["effect"] == pytest.approx(0.1)
    ranks = read_aggregate(tmp_path / "out").ranks.to_pylist()
    assert [row["mean_rank"] for row in ranks] == [4, 2.5, 2.5, 1]
    shown = [row for row in profiles if row["variant"] == "predictive_coding+precision"]
    thresholds, shares = [row["threshold"] for row in shown], [row["share"] for row in shown]
    assert thresholds == sorted(thresholds, reverse=True)
    assert shares == sorted(shares)
    assert shares[0] > 0
