"""The section of a sensitivity analysis: what moves a metric, what holds, figures with their numbers."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.ablation.design import Variant
from precisionflow.report import article, cells
from precisionflow.report import sensitivity as words
from precisionflow.report.material import Material, gather
from precisionflow.report.page import templates
from precisionflow.report.sections import answer, sensitivity
from precisionflow.report.summary import summary
from tests.analysed import analysed, tables
from tests.analysed import sensitivity as analysis_by
from tests.synthetic import models


def measure(variant: Variant, seed: int, _split: int) -> dict[str, float]:
    rate = math.log10(variant.experiment.training.learning_rate)
    noise = np.random.default_rng([seed, *variant.name.encode()]).standard_normal()
    return {"nll": 1 + 0.2 * (rate + 3) ** 2 + 0.1 * seed + 0.001 * noise, "crps": 0.5, "rmse": 1.0}


def material(folder: Path, kind: str, **changes: Any) -> Material:
    few = {"samples": 8} if kind == "sobol" else {"trajectories": 4} if kind == "morris" else {"levels": 3}
    experiment = analysed(analysis_by(kind, **few), **changes)
    results = tables(experiment, folder, measure)
    return gather(
        experiment,
        trained=cells.trained_cells(models(experiment, folder)),
        evaluated=cells.evaluated_cells(sorted((folder / "evaluate").glob("*/*/*"))),
        results=results,
        gate=(),
        anchor="x0",
    )


def text_of(shown: Material) -> str:
    section = sensitivity.section(shown)
    assert section is not None
    return templates().get_template(section.template).render(section.context, title=section.title)


@pytest.mark.parametrize(
    ("kind", "measure_shown", "method"),
    [
        ("one_at_a_time", "swing", "One parameter moves, the others stay"),
        ("morris", "μ\\*", "along a trajectory each moves once"),
        ("sobol", "total", "First order: share of the"),
    ],
)
def test_a_page_says_what_moves_the_metric_and_what_to_set(
    kind: str, measure_shown: str, method: str, tmp_path: Path
) -> None:
    text = text_of(material(tmp_path, kind))
    assert re.search(
        rf'<p class="tally"><b>nll on diabetes</b> &ndash; learning_rate moves it most \({measure_shown} [\d.]+',
        text,
    )
    assert "not above what noise gives: " in text
    assert method in " ".join(text.split())
    assert text.count('role="img" aria-label="') == 1 + 3
    assert text.count("<caption>") == 3
    assert "<caption>Robust and recommended values, by nll on diabetes</caption>" in text
    row = re.search(r'<th scope="row">learning_<wbr>rate</th>\n<td>0.001</td>.*?</tr>', text, re.DOTALL)
    assert row
    assert "its own value" in row[0]


def test_the_article_has_the_section_in_place_of_an_answer(tmp_path: Path) -> None:
    shown = article.article(material(tmp_path, "one_at_a_time"))
    titles = [section.title for section in shown.sections if section is not None]
    assert titles == ["Sensitivity", "Scores", "Training cost", "Provenance"]
    assert article.SECTIONS[0] is answer.section
    assert shown.sections[0] is None


def test_the_terminal_shows_the_parameters_in_place_of_the_runs(tmp_path: Path) -> None:
    shown = material(tmp_path, "one_at_a_time")
    results = read_aggregate(tmp_path / "aggregate")
    moved, values = summary([shown.experiment], results)
    assert moved.caption.startswith("noise on diabetes: nll: learning_rate moves it most (swing 0.2")
    assert [row[0].text for row in values.rows] == ["learning_rate", "beta", "hidden"]
    (scores,) = summary([shown.experiment], results, metrics=["nll"])
    assert len(scores.rows) == 7


def test_one_seed_says_that_it_shows_no_noise(tmp_path: Path) -> None:
    text = text_of(material(tmp_path, "one_at_a_time", seeds=[0]))
    assert "one unit shows no noise; give more seeds" in text
    assert text.count("too few runs") == 3


def moved(
    parameter: str, value: float, chance: float = 0.1, *, n: int = 8, failed: int = 0
) -> dict[str, Any]:
    ends = {"low": value - 0.05, "high": value + 0.05, "chance": chance}
    return {"parameter": parameter, "measure": "total", "value": value, "n": n, "failed": failed} | ends


NAMES = {name: name for name in "abc"}


def test_what_moves_a_metric_comes_before_what_nothing_is_known_of() -> None:
    rows = [moved("a", math.nan, failed=3), moved("b", 0.05), moved("c", 0.6)]
    expected = "c moves it most (total 0.600 [0.550, 0.650]); not above what noise gives: b; unknown, as runs failed: a"
    assert words.finding(rows, names=NAMES) == expected
    shown = words.index_table(rows, names=NAMES, caption="")
    assert [line[0].text for line in shown.rows] == ["c", "b", "a"]


def test_a_parameter_without_an_effect_is_never_said_to_move_a_metric() -> None:
    rows = [moved("a", 0.0, math.nan, n=1), moved("b", 0.3, math.nan, n=1)]
    found = words.finding(rows, names=NAMES)
    assert found.startswith(
        "b moves it most (total 0.300 [0.250, 0.350]); not above what noise gives: a; one unit"
    )


@pytest.mark.parametrize(
    ("n", "failed", "said"),
    [
        (8, 0, "it does not change over the ranges"),
        (8, 2, "nothing is said: 2 runs failed"),
        (0, 0, "nothing is measured yet"),
    ],
)
def test_why_no_parameter_has_a_number(n: int, failed: int, said: str) -> None:
    rows = [moved(name, math.nan, n=n, failed=failed) for name in "ab"]
    assert words.finding(rows, names=NAMES) == said
