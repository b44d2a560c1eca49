"""The section of a performance analysis: phases, speed, layers, fronts, each with its numbers."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.ablation.analyses.performance import performance_of
from precisionflow.ablation.design import expand
from precisionflow.config import Experiment
from precisionflow.records.schemas import PERFORMANCE
from precisionflow.report.cells import Finished
from precisionflow.report.material import Material, gather
from precisionflow.report.page import templates
from precisionflow.report.sections import performance
from tests.ablation.analyses.test_performance import measured, timed
from tests.report.conftest import results_of


def material(experiment: Experiment, rows: list[dict[str, Any]], folder: Path) -> Material:
    """Invented scores, with what the cells took."""
    results = read_aggregate(results_of([experiment], folder).aggregate)
    results = results._replace(performance=pa.Table.from_pylist(rows, PERFORMANCE))
    return gather(experiment, trained=Finished(), evaluated=Finished(), results=results, gate=(), anchor="x0")


def test_phases_speed_layers_and_fronts_have_their_numbers(tmp_path: Path) -> None:
    experiment = timed()
    rows = performance_of(experiment, list(expand(experiment)), measured(experiment))
    section = performance.section(material(experiment, rows, tmp_path))
    assert section is not None
    text = templates().get_template(section.template).render(section.context, title=section.title)
    assert text.count('role="img"') == 1 + 3
    assert "backprop+dot_product: forward 0.0044, backward 0.0066" in text
    captions = re.findall(r"<caption>(.*?)</caption>", text)
    assert captions == [
        "Seconds of a step by phase on scikit_learn_text",
        "Speed and memory on scikit_learn_text",
        *(f"{m} against seconds of training on scikit_learn_text" for m in ("nll", "ece", "brier")),
        "Seconds of the forward calls of each layer on scikit_learn_text",
    ]
    assert "<small>40%</small>" in text
    assert "<small>60%</small>" in text
    assert '<th scope="row">0-Embedding</th>' in text
    assert text.count("<td>yes</td>") >= 3


def test_nothing_timed_is_no_section(tmp_path: Path) -> None:
    shown = material(timed(), [], tmp_path)
    assert performance.section(shown) is None
