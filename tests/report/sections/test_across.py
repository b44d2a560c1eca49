"""Across data sets: what the page says of several sets together, and when it says nothing."""

import re
from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.config import Experiment
from precisionflow.report import cells
from precisionflow.report.digits import with_interval
from precisionflow.report.material import Material, gather
from precisionflow.report.page import phrases, templates
from precisionflow.report.sections import across, answer
from tests.report.conftest import results_of
from tests.synthetic import regression


def material(folder: Path, *, sets: int, levels: int) -> Material:
    named = "".join(f"    set{k}: {{task.source.path: set{k}}}\n" for k in range(sets))
    last = "      heteroscedastic: {objective.kind: gaussian_nll}\n"
    experiment = regression(
        ("ablation:\n", f"ablation:\n  datasets:\n{named}"),
        ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0, 1]"),
        ("seeds: [0, 1]", "seeds: [0]"),
        (last, last + "      natural: {objective.kind: natural}\n" * (levels > 2)),
        ("source: {kind: scikit_learn, name: diabetes}", "source: {kind: uci_folder, path: set0}"),
    )
    return gathered(experiment, folder)


def gathered(experiment: Experiment, folder: Path) -> Material:
    results = results_of([experiment], folder)
    return gather(
        experiment,
        trained=cells.trained_cells(results.models),
        evaluated=cells.evaluated_cells(results.evaluations),
        results=read_aggregate(results.aggregate),
        gate=(),
        anchor="x0",
    )


def text_of(shown: Material) -> str:
    section = across.section(shown)
    assert section is not None
    return templates().get_template(section.template).render(section.context, title=section.title)


def test_several_sets_have_effects_ranks_and_their_numbers(tmp_path: Path) -> None:
    shown = material(tmp_path, sets=3, levels=3)
    text = text_of(shown)
    assert text.count("Contrasts in ") == 3
    assert text.count('role="img" aria-label="Mean ranks in ') == 3
    assert "Contrasts over 3 data sets" in text
    assert "log ratio of rmse" in text
    assert re.search(r"Friedman&#39;s χ² \d\.\d\d over 3 data sets, p 0\.\d{3} by permutations", text)
    assert text.count("Mean ranks over 3 data sets") == 2
    assert text.count('<span class="mark too-few">too few data sets: 3 of 7</span>') == 6


def test_runs_of_all_sets_have_means_profiles_and_their_numbers(tmp_path: Path) -> None:
    shown = material(tmp_path, sets=2, levels=3)
    text = text_of(shown)
    assert text.count('role="img" aria-label="Performance profiles in ') == 3
    assert "Interquartile mean of all runs, relative to homoscedastic" in text
    row = next(r for r in shown.iqm if (r["variant"], r["metric"]) == ("heteroscedastic", "nll"))
    assert f"<td>{phrases(with_interval(row['iqm'], row['low'], row['high']))}</td>" in text
    assert text.count("Numbers of the figure: Runs that are at least as good, by ") == 3
    assert "by log ratio of crps" in text
    (first, *_, last) = [r for r in shown.profiles if (r["variant"], r["metric"]) == ("natural", "nll")]
    assert (first["threshold"] < last["threshold"], last["share"]) == (True, 1)
    row = shown.across[0]
    likely = f"{row['improvement']:.2f} [{row['improvement_low']:.2f},\N{NO-BREAK SPACE}{row['improvement_high']:.2f}]"
    assert f"<td>{likely}</td>" in text


def test_the_answer_over_all_sets_comes_first(tmp_path: Path) -> None:
    first, *others = answer.section(material(tmp_path, sets=6, levels=2)).context["groups"]
    assert first.title == "all data sets"
    assert "n = 6 data sets" in first.answers[0].findings[0].text
    assert [of.title for of in others] == [f"set{number}" for number in range(6)]


def test_the_answer_over_sets_that_are_too_few_for_any_comes_last(tmp_path: Path) -> None:
    *others, last = answer.section(material(tmp_path, sets=2, levels=2)).context["groups"]
    assert [of.title for of in others] == ["set0", "set1"]
    assert last.title == "all data sets"
    assert last.tally == "3 contrasts: 3 undecidable (too few data sets: 2 of 6)"


@pytest.mark.parametrize(
    ("sets", "levels", "why"), [(2, 3, "3 variants on 2 data sets"), (3, 2, "2 variants on 3 data sets")]
)
def test_why_nothing_is_ranked(sets: int, levels: int, why: str, tmp_path: Path) -> None:
    assert f"No ranks: {why}; 3 of both are needed." in text_of(material(tmp_path, sets=sets, levels=levels))


def test_one_set_has_no_section(tmp_path: Path) -> None:
    shown = material(tmp_path, sets=1, levels=2)
    assert across.section(shown) is None
    assert [group.title for group in answer.section(shown).context["groups"]] == ["set0"]
