"""The section of a performance analysis: phases, speed, layers, fronts, each with its numbers."""

import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.ablation.analyses.performance import performance_of
from precisionflow.ablation.design import expand
from precisionflow.config import Experiment
from precisionflow.records.schemas import PERFORMANCE
from precisionflow.report import performance as words
from precisionflow.report.cells import Finished
from precisionflow.report.material import Material, gather
from precisionflow.report.page import templates
from precisionflow.report.sections import performance
from precisionflow.report.summary import summary
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
    told = re.search(r'<p class="tally">(.*?)</p>', text.replace("\N{NO-BREAK SPACE}", " "))
    assert told is not None
    assert told[1].startswith(
        "shortest step: backprop+dot_product, backprop+precision, 0.0110 ± 0.0025 s; longest: "
    )
    assert (
        "most of a step is backward (60 % of it); best nll for its seconds of training: backprop" in told[1]
    )
    assert text.index("tally") < text.index("note")
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


def test_the_shortest_step_is_named_where_intervals_tell_it_apart() -> None:
    def of(step: float, **seconds: float) -> dict[str, dict[str, float]]:
        return {
            name: {"value": value, "low": value - 0.1, "high": value + 0.1}
            for name, value in {"step": step, "training": step, **seconds}.items()
        }

    found = {"b": of(3.0, forward=2.0, backward=1.0), "a": of(1.5, forward=0.5, backward=1.0)}
    assert words.finding(found, timed(), []) == (
        "shortest step: a, 1.50 ± 0.10 s; longest: b, 2.00 times that; "
        "most of a step is forward (67 % of it, 1 variant), backward (67 % of it, 1 variant)"
    )
    assert (
        words.finding({"a": of(1.5)}, timed(), [])
        == "a step takes 1.50 ± 0.10 s; no step was timed part by part"
    )
    assert words.finding({"a": of(1.5), "b": of(1.6)}, timed(), []).startswith(
        "steps take 1.50 ± 0.10 s (a) to 1.60 ± 0.10 s (b), which their intervals do not tell apart; "
    )


def test_steps_of_one_unit_have_no_intervals_to_tell_them_apart() -> None:
    found = {
        name: {"step": {"value": value, "low": math.nan, "high": math.nan}}
        for name, value in {"a": 1.0, "b": 3.0}.items()
    }
    assert words.finding(found, timed(), []).startswith(
        "steps take 1.000 s (a) to 3.000 s (b), of one unit each; "
    )


def test_a_sentence_names_three_variants_at_most() -> None:
    found = {
        name: {"step": {"value": value, "low": value - 0.5, "high": value + 0.5}}
        for name, value in {"a": 1.0, "b": 1.1, "c": 1.2, "d": 1.3, "e": 1.4, "f": 9.0}.items()
    }
    assert words.finding(found, timed(), []).startswith(
        "shortest step: a, b, c and 2 more, 1.00 ± 0.50 s; longest: f, 9.00 times that; "
    )


def test_the_terminal_begins_with_what_holds(tmp_path: Path) -> None:
    experiment = timed()
    rows = performance_of(experiment, list(expand(experiment)), measured(experiment))
    results = read_aggregate(results_of([experiment], tmp_path).aggregate)
    results = results._replace(performance=pa.Table.from_pylist(rows, PERFORMANCE))
    first, *_ = summary([experiment], results)
    said = "shortest step: backprop+dot_product, backprop+precision, 0.0110"
    assert first.caption.startswith(f"{experiment.name} on scikit_learn_text: {said}")
