"""The table and the contrasts: units, pairing, families, order of inputs, gaps and repetitions."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from precisionflow.ablation.aggregate import aggregate, read_aggregate
from precisionflow.ablation.design import Variant
from precisionflow.ablation.power import units_for_difference, units_for_equivalence
from precisionflow.ablation.statistics import holm
from precisionflow.config import Experiment, resolve
from precisionflow.config.base import without_defaults
from precisionflow.records.marker import MARKER
from precisionflow.results.stage import finished_key
from tests.synthetic import evaluations, language, plausible, regression


def rows(folder: Path, kind: str, **wanted: object) -> list[dict]:
    found = getattr(read_aggregate(folder), kind).to_pylist()
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def aggregated(experiment: Experiment, tmp_path: Path, measure=plausible) -> Path:
    out = tmp_path / "aggregate"
    aggregate([experiment], evaluations=evaluations(experiment, tmp_path, measure), out=out)
    return out


def additive(variant: Variant, seed: int, split: int) -> dict[str, float]:
    """A known effect of -0.5 for the second level, larger noise shared by all variants of a unit."""
    learned = "heteroscedastic" in variant.name
    return {"nll": 10.0 * split + seed - 0.5 * learned, "crps": 1.0 + split * learned, "rmse": 1.0}


def test_units_are_splits_and_seeds_are_averaged_within(tmp_path: Path) -> None:
    out = aggregated(regression(), tmp_path, additive)
    (row,) = rows(out, "table", variant="homoscedastic", metric="nll")
    units = [10.0 * split + 0.5 for split in range(7)]
    error = math.sqrt((1 / 7 + 44 / 398) * np.var(units, ddof=1))
    low, high = stats.t.interval(0.95, 6, loc=np.mean(units), scale=error)
    assert (row["n"], row["overlap"]) == (7, pytest.approx(44 / 398))
    assert [row[k] for k in ("mean", "std", "low", "high")] == pytest.approx(
        [np.mean(units), np.std(units, ddof=1), low, high]
    )


def test_units_are_seeds_where_there_is_one_split(tmp_path: Path) -> None:
    experiment = regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [3]"))
    out = aggregated(experiment, tmp_path, additive)
    (row,) = rows(out, "table", variant="homoscedastic", metric="nll")
    assert (row["n"], row["mean"], row["overlap"]) == (2, 30.5, 0)
    assert row["high"] == pytest.approx(30.5 + stats.t(1).ppf(0.975) * 0.5)
    (contrast,) = rows(out, "contrasts", metric="nll")
    assert (contrast["verdict"], contrast["overlap"]) == ("too few seeds: 2 of 6", 0)


@pytest.mark.parametrize(
    ("moves", "n", "verdict"),
    [(0.0, 1, "too few seeds: 1 of 6"), (1e-9, 7, "better"), (math.nan, 7, "better")],
)
def test_seeds_that_change_nothing_are_one(tmp_path: Path, moves: float, n: int, verdict: str) -> None:
    """Copies show no certainty; a score that does not move beside one that does is a measurement of every seed."""

    def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:  # noqa: ARG001
        learned = "heteroscedastic" in variant.name
        crps = 1.0 if math.isnan(moves) and not learned else 1.0 + np.nan_to_num(moves, nan=0.1) * seed
        return {"nll": -0.5 * learned, "crps": crps, "rmse": 1.0}

    seeds = ("seeds: [0, 1]", "seeds: [0, 1, 2, 3, 4, 5, 6]")
    experiment = regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [3]"), seeds)
    (row,) = rows(aggregated(experiment, tmp_path, measure), "contrasts", metric="nll")
    assert (row["effect"], row["n"], row["verdict"]) == (-0.5, n, verdict)


def test_contrasts_are_paired(tmp_path: Path) -> None:
    """The noise between units (std 20) is far above the effect, but both variants share it."""
    out = aggregated(regression(), tmp_path, additive)
    (row,) = rows(out, "contrasts", metric="nll")
    assert [row[k] for k in ("effect", "low", "high", "n", "p")] == pytest.approx([-0.5, -0.5, -0.5, 7, 0])
    assert (row["axis"], row["level"], row["baseline"]) == ("noise", "heteroscedastic", "homoscedastic")
    assert (row["variant"], row["baseline_variant"]) == ("heteroscedastic", "homoscedastic")
    assert row["verdict"] == "better"


def test_direction_of_worse_and_of_no_difference(tmp_path: Path) -> None:
    out = aggregated(regression(), tmp_path, additive)
    (crps,), (rmse,) = rows(out, "contrasts", metric="crps"), rows(out, "contrasts", metric="rmse")
    # The difference of split k is k.
    error = math.sqrt((1 / 7 + 44 / 398) * np.var(range(7), ddof=1))
    assert (crps["effect"], crps["verdict"]) == (3.0, "worse")
    assert crps["p"] == pytest.approx(2 * stats.t(6).sf(3 / error))
    assert (rmse["effect"], rmse["p"], rmse["verdict"]) == (0.0, 1.0, "undecided")


def test_sign_flips_are_those_of_seeds_and_never_of_splits_that_share_rows(tmp_path: Path) -> None:
    """Seven seeds, of which one turns the other way: 2 * 2 / 2^7 where it is the smallest, p of t below."""
    learned_wins = [0.1, 0.5, 0.6, 0.7, 0.5, 0.6, 0.7]

    def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
        effect = learned_wins[seed] * (-1 if seed else 1) if "heteroscedastic" in variant.name else 0.0
        return {"nll": split + seed + effect, "crps": 1.0, "rmse": 1.0}

    seeds = regression(
        ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [3]"), ("seeds: [0, 1]", "seeds: [0, 1, 2, 3, 4, 5, 6]")
    )
    out = aggregated(seeds, tmp_path / "seeds", measure)
    (nll,), (crps,) = rows(out, "contrasts", metric="nll"), rows(out, "contrasts", metric="crps")
    assert (nll["sign_flip"], crps["sign_flip"]) == (pytest.approx(4 / 2**7), 1.0)
    assert nll["sign_flip_adjusted"] == holm([nll["sign_flip"]])[0]
    splits = aggregated(regression(), tmp_path / "splits", additive)
    assert all(math.isnan(row["sign_flip"]) for row in rows(splits, "contrasts"))


def test_overlap_is_that_of_the_prepared_data(tmp_path: Path) -> None:
    """n_test / n_train of every cell, not a constant: 1 / 9 and 1 / 4 give intervals of another width."""
    widths = []
    for learned in (9 * 44, 4 * 44):
        folder = tmp_path / str(learned)
        folders = evaluations(regression(), folder, additive, rows_learned=learned)
        aggregate([regression()], evaluations=folders, out=folder / "out")
        (row,) = rows(folder / "out", "contrasts", metric="crps")
        assert row["overlap"] == pytest.approx(44 / learned)
        widths.append(row["high"] - row["low"])
    assert widths[1] / widths[0] == pytest.approx(math.sqrt((1 / 7 + 1 / 4) / (1 / 7 + 1 / 9)))


MARGINS = "  margins: {nll: {absolute: 0.6}, crps: {relative: 0.5}, rmse: {absolute: 0.1}}\n"


def with_margins(*replacements: tuple[str, str]) -> Experiment:
    return regression(("  axes:\n", MARGINS + "  axes:\n"), *replacements)


def test_equivalence_is_tested_with_the_stated_margins(tmp_path: Path) -> None:
    """Absolute in the metric's unit; relative to the mean of the baseline, which is 1 + 0 in crps."""
    out = aggregated(with_margins(), tmp_path, additive)
    (nll,), (crps,), (rmse,) = (rows(out, "contrasts", metric=m) for m in ("nll", "crps", "rmse"))
    assert (nll["margin"], nll["equivalence"], nll["verdict"]) == (0.6, 0, "equivalent, slightly better")
    error = math.sqrt((1 / 7 + 44 / 398) * np.var(range(7), ddof=1))
    assert (crps["margin"], crps["verdict"]) == (0.5, "worse")
    assert crps["equivalence"] == pytest.approx(stats.t(6).cdf((3 - 0.5) / error))
    assert (rmse["margin"], rmse["equivalence"], rmse["verdict"]) == (0.1, 0, "equivalent")


def test_a_relative_margin_is_a_share_of_each_baselines_mean(tmp_path: Path) -> None:
    """Of the baseline that the contrast has, whatever the sign of its mean."""

    def measure(variant: Variant, seed: int, split: int) -> dict[str, float]:
        level = -4.0 if variant.levels["learning"] == "backprop" else -2.0
        return plausible(variant, seed, split) | {"nll": level + 0.1 * seed}

    experiment = language(("  axes:\n", "  margins: {nll: {relative: 0.01}}\n  axes:\n"))
    found = rows(aggregated(experiment, tmp_path, measure), "contrasts", metric="nll")
    assert [r["baseline_variant"].split("+")[0] for r in found] == [
        *["backprop"] * 3,
        "predictive_coding",
    ]
    assert [r["margin"] for r in found] == pytest.approx([0.039] * 3 + [0.019])


def test_without_a_margin_equivalence_is_not_tested(tmp_path: Path) -> None:
    for row in rows(aggregated(regression(), tmp_path, additive), "contrasts"):
        assert all(math.isnan(row[name]) for name in ("margin", "equivalence", "equivalence_adjusted"))


def test_every_axis_is_contrasted_at_every_setting_of_the_others(tmp_path: Path) -> None:
    out = aggregated(language(), tmp_path)
    pairs = [(r["axis"], r["variant"], r["baseline_variant"]) for r in rows(out, "contrasts", metric="nll")]
    assert pairs == [
        ("learning", "predictive_coding+dot_product", "backprop+dot_product"),
        ("learning", "predictive_coding+precision", "backprop+precision"),
        ("attention", "backprop+precision", "backprop+dot_product"),
        ("attention", "predictive_coding+precision", "predictive_coding+dot_product"),
    ]


def test_the_family_of_holm_is_one_metric_on_one_dataset(tmp_path: Path) -> None:
    margins = "  margins: {nll: {relative: 0.01}, ece: {absolute: 0.01}, brier: {relative: 0.01}}\n  axes:\n"
    experiment = language(("seeds: [0, 1, 2]", "seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8]"), ("  axes:\n", margins))
    out = aggregated(experiment, tmp_path)
    for metric in experiment.task.headline:
        family = rows(out, "contrasts", metric=metric)
        assert [r["p_adjusted"] for r in family] == holm([r["p"] for r in family])
        assert [r["equivalence_adjusted"] for r in family] == holm([r["equivalence"] for r in family])
    assert {r["verdict"] for r in rows(out, "contrasts", metric="nll", axis="attention")} == {"better"}


def test_an_undecided_contrast_says_how_many_units_would_decide(tmp_path: Path) -> None:
    """At the level of the strictest of the family; of other verdicts, and of units that all agree, no number."""
    margins = "  margins: {nll: {absolute: 0.005}}\n  axes:\n"
    experiment = language(("seeds: [0, 1, 2]", f"seeds: {list(range(9))}"), ("  axes:\n", margins))
    out = aggregated(experiment, tmp_path)
    found = rows(out, "contrasts", metric="nll", verdict="undecided")
    assert found
    for row in found:
        given = {"std": row["std"], "level": 0.05 / 4}
        assert row["units_for_difference"] == units_for_difference(row["effect"], **given)
        assert row["units_for_equivalence"] == units_for_equivalence(row["effect"], margin=0.005, **given)
        assert min(row["units_for_difference"], row["units_for_equivalence"]) > 9
    for row in rows(out, "contrasts", verdict="better"):
        assert math.isnan(row["units_for_difference"])
    (same,) = rows(aggregated(regression(), tmp_path, additive), "contrasts", metric="rmse")
    assert same["verdict"] == "undecided"
    assert math.isnan(same["units_for_difference"])


def test_three_seeds_are_too_few_for_four_contrasts(tmp_path: Path) -> None:
    out = aggregated(language(), tmp_path)
    assert {r["verdict"] for r in rows(out, "contrasts")} == {"too few seeds: 3 of 8"}


def test_one_seed_gives_means_without_intervals(tmp_path: Path) -> None:
    out = aggregated(language(("seeds: [0, 1, 2]", "seeds: [4]")), tmp_path)
    assert all(math.isnan(r["low"]) and math.isnan(r["std"]) and r["n"] == 1 for r in rows(out, "table"))
    assert {r["verdict"] for r in rows(out, "contrasts")} == {"too few seeds: 1 of 8"}


def test_without_axes_there_is_a_table_and_no_contrast(tmp_path: Path) -> None:
    axes = language().ablation.axes
    experiment = language(("learning.kind: predictive_coding", "training.steps: 5"))
    bare = experiment.model_validate(experiment.model_dump(mode="json") | {"ablation": {}})
    assert axes
    out = aggregated(bare, tmp_path)
    assert rows(out, "contrasts") == []
    assert {r["variant"] for r in rows(out, "table")} == {"default"}


def test_nominal_metrics_are_contrasted_by_their_distance(tmp_path: Path) -> None:
    def coverage(variant: Variant, seed: int, _: int) -> dict[str, float]:
        # 0.95 and 0.85 are equally far from 0.9; the mean over seeds would be perfect.
        wide = 0.95 if seed else 0.85
        return {"coverage_90": 0.9 if variant.name == "heteroscedastic" else wide}

    experiment = regression(("ablation:\n", "ablation:\n  metrics: [coverage_90]\n"))
    out = aggregated(experiment, tmp_path, coverage)
    (row,) = rows(out, "contrasts")
    assert (row["effect"], row["verdict"]) == (pytest.approx(-0.05), "better")
    assert rows(out, "table", variant="homoscedastic")[0]["mean"] == pytest.approx(0.9)


def test_confidence_sets_interval_and_level(tmp_path: Path) -> None:
    experiment = regression(("ablation:\n", "ablation:\n  confidence: 0.5\n"))
    out = aggregated(experiment, tmp_path)
    (row,) = rows(out, "table", variant="homoscedastic", metric="nll")
    half = stats.t.ppf(0.75, 6) * row["std"] * math.sqrt(1 / 7 + 44 / 398)
    assert row["high"] - row["mean"] == pytest.approx(half)


def test_contrasted_metrics_come_first_and_levels_in_order(tmp_path: Path) -> None:
    out = aggregated(regression(), tmp_path)
    metrics = [r["metric"] for r in rows(out, "table", variant="homoscedastic")]
    assert metrics[:3] == ["nll", "crps", "rmse"]
    assert metrics[3:7] == ["coverage_50", "coverage_80", "coverage_90", "coverage_95"]


def test_order_of_inputs_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = regression(), language()
    folders = evaluations(first, tmp_path, plausible) + evaluations(second, tmp_path, plausible)
    scattered = []
    for index, folder in enumerate(reversed(folders)):
        scattered.append(shutil.copytree(folder, tmp_path / "scattered" / f"{index}"))
    aggregate([first, second], evaluations=folders, out=tmp_path / "a")
    aggregate([second, first], evaluations=scattered, out=tmp_path / "b")
    for name in ("table.parquet", "contrasts.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert finished_key(tmp_path / "a") == finished_key(tmp_path / "b")


def test_swapping_the_baseline_is_another_aggregate(tmp_path: Path) -> None:
    """The same levels in another order have the same configuration hash but another first level."""
    kinds = {"homoscedastic": "homoscedastic", "heteroscedastic": "gaussian_nll"}
    levels = [f"      {name}: {{objective.kind: {kind}}}\n" for name, kind in kinds.items()]
    first = regression()
    second = regression(("".join(levels), "".join(reversed(levels))))
    assert first.hash == second.hash
    folders = evaluations(first, tmp_path, plausible)
    aggregate([first], evaluations=folders, out=tmp_path / "a")
    before = rows(tmp_path / "a", "contrasts", metric="nll")[0]
    aggregate([second], evaluations=folders, out=tmp_path / "a")
    after = rows(tmp_path / "a", "contrasts", metric="nll")[0]
    assert after["baseline"] == "heteroscedastic"
    assert after["effect"] == -before["effect"]


def test_a_missing_cell_is_named(tmp_path: Path) -> None:
    experiment = regression()
    folders = evaluations(experiment, tmp_path, plausible)
    shutil.rmtree(folders[1] / "seed-1-split-4")
    with pytest.raises(ValueError, match=r"no metrics of .*'heteroscedastic', seed 1, split 4"):
        aggregate([experiment], evaluations=folders, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_metric_is_named(tmp_path: Path) -> None:
    def forgetful(variant: Variant, seed: int, split: int) -> dict[str, float]:
        metrics = plausible(variant, seed, split)
        if (seed, split) == (1, 2):
            del metrics["coverage_80"]
        return metrics

    with pytest.raises(
        ValueError, match=r"seed 1, split 2 has no metric 'coverage_80' \(there are .*coverage_50"
    ):
        aggregated(regression(), tmp_path, forgetful)


def test_an_unfinished_cell_is_refused(tmp_path: Path) -> None:
    experiment = regression()
    folders = evaluations(experiment, tmp_path, plausible)
    (folders[0] / "seed-0-split-0" / MARKER).unlink()
    with pytest.raises(ValueError, match="seed-0-split-0: is not a finished stage"):
        aggregate([experiment], evaluations=folders, out=tmp_path / "out")


def test_a_folder_without_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no seed-\*-split-\* folder; give the folder of a variant"):
        aggregate([regression()], evaluations=[tmp_path], out=tmp_path / "out")


def test_the_same_result_twice_counts_once(tmp_path: Path) -> None:
    experiment = regression()
    folders = evaluations(experiment, tmp_path, plausible)
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    aggregate([experiment], evaluations=folders, out=tmp_path / "a")
    aggregate([experiment], evaluations=[*folders, folders[1], copy], out=tmp_path / "b")
    assert (tmp_path / "a/table.parquet").read_bytes() == (tmp_path / "b/table.parquet").read_bytes()


def test_two_different_results_of_one_cell_are_refused(tmp_path: Path) -> None:
    def shifted(variant: Variant, seed: int, split: int) -> dict[str, float]:
        return plausible(variant, seed, split) | {"nll": 0.0}

    experiment = regression()
    folders = evaluations(experiment, tmp_path, plausible)
    other = evaluations(experiment, tmp_path / "other", shifted)
    with pytest.raises(
        ValueError, match=r"seed 0, split 0 has nll .*, another folder says .*; keep the results of one run"
    ):
        aggregate([experiment], evaluations=[*folders, other[0]], out=tmp_path / "out")


def test_cells_that_nobody_asks_for_are_left_out(tmp_path: Path) -> None:
    many, few = regression(), regression(("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0, 1]"))
    folders = evaluations(many, tmp_path, plausible)
    aggregate([few], evaluations=folders, out=tmp_path / "out")
    assert {r["n"] for r in rows(tmp_path / "out", "table")} == {2}


def test_two_experiments_with_one_name_are_refused(tmp_path: Path) -> None:
    folders = evaluations(regression(), tmp_path, plausible)
    with pytest.raises(ValueError, match="two experiments are called 'noise'"):
        aggregate([regression(), regression()], evaluations=folders, out=tmp_path / "out")


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    experiment = regression()
    folders = evaluations(experiment, tmp_path, plausible)
    aggregate([experiment], evaluations=folders, out=tmp_path / "out")
    before = (tmp_path / "out/table.parquet").stat().st_mtime_ns
    aggregate([experiment], evaluations=folders, out=tmp_path / "out")
    assert (tmp_path / "out/table.parquet").stat().st_mtime_ns == before


def test_what_is_asked_of_a_cluster_is_no_other_aggregate(tmp_path: Path) -> None:
    """Tasks on a cluster aggregate experiments without it; here the fetched tables are those of the whole file."""
    given = regression()
    asked = resolve(without_defaults(given) | {"cluster": {"train": {"cpu": "500m"}, "retries": 0}})
    assert asked.cluster != given.cluster
    folders = evaluations(given, tmp_path, plausible)
    aggregate([given], evaluations=folders, out=tmp_path / "out")
    before = (tmp_path / "out/table.parquet").stat().st_mtime_ns
    aggregate([asked], evaluations=folders, out=tmp_path / "out")
    assert (tmp_path / "out/table.parquet").stat().st_mtime_ns == before


def test_bands_of_chance_are_those_of_the_mean_over_cells(tmp_path: Path) -> None:
    """World by world the mean over 2 seeds and 7 splits; a metric without worlds has none."""
    out = aggregated(regression(), tmp_path)
    (error,) = rows(out, "table", variant="homoscedastic", metric="pit_error")
    assert (error["chance_low"], error["chance_high"]) == pytest.approx((0, 0.02))
    (coverage,) = rows(out, "table", variant="heteroscedastic", metric="coverage_90")
    assert (coverage["chance_low"], coverage["chance_high"]) == pytest.approx((0.85, 0.95))
    (nll,) = rows(out, "table", variant="homoscedastic", metric="nll")
    assert math.isnan(nll["chance_low"])
    assert math.isnan(nll["chance_high"])
