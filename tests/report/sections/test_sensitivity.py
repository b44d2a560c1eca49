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
