"""The section of a scaling analysis: laws in words, figures with their numbers, departures of cost, budgets."""

import math

import pyarrow as pa
import pytest

from precisionflow.ablation.aggregate import SCHEMAS, Aggregate
from precisionflow.ablation.analyses.scaling import Rows
from precisionflow.config import Experiment
from precisionflow.report import scaling as words
from precisionflow.report.cells import Finished
from precisionflow.report.figures.scaling import law_figure
from precisionflow.report.material import gather
from precisionflow.report.page import templates
from precisionflow.report.sections import scaling
from precisionflow.report.summary import summary
from tests.ablation.analyses.test_scaling import GRID, WIDTHS, rows, scaled

NAN = math.nan


def results_of(found: Rows) -> Aggregate:
    """The tables of an aggregate that has these rows alone."""
    tables: dict[str, list] = {name: [] for name in Aggregate._fields} | found._asdict()
    named = zip(Aggregate._fields, SCHEMAS, strict=True)
    return Aggregate(*(pa.Table.from_pylist(tables[name], schema) for name, schema in named))


def text_of(experiment: Experiment) -> str:
    results = results_of(rows(experiment))
    material = gather(
        experiment, trained=Finished(), evaluated=Finished(), results=results, gate=(), anchor="x0"
    )
    section = scaling.section(material)
    assert section is not None
    return templates().get_template(section.template).render(section.context, title=section.title)


def law(**changes: object) -> dict:
    ends = {"offset": 1.5, "factor": 3.0, "exponent": -0.4}
    spread = {f"{name}{end}": value for name, value in ends.items() for end in ("", "_low", "_high")}
    about = {"size": "model.width", "quantity": "nll", "n": 4, "units": 3}
    return spread | about | {"exponent_low": -0.5, "exponent_high": -0.3} | changes


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "nll falls with width to the power −0.40 [−0.50, −0.30] towards 1.500"),
        ({"factor": -1.0}, "nll rises with width to the power"),
        (
            {"quantity": "seconds", "exponent": 1.4, "exponent_low": 1.3, "exponent_high": 1.5},
            "seconds a step goes with",
        ),
        ({"exponent": NAN, "units": 0}, "nll by width: no law, as no unit is complete"),
        ({"exponent": NAN}, "nll by width: does not change"),
        ({"exponent_high": 0.1}, "nll by width: these 4 sizes do not determine an exponent"),
        ({"exponent_high": -0.02}, "nll by width: these 4 sizes do not determine an exponent"),
        ({"exponent_low": -4.0}, "nll by width: these 4 sizes do not determine an exponent"),
    ],
)
def test_a_law_is_a_sentence(changes: dict, text: str) -> None:
    assert words.finding(law(**changes), names={"model.width": "width"}).startswith(text)


@pytest.mark.parametrize(
    ("low", "high", "text"), [(1.2, 1.4, "above"), (0.6, 0.8, "below"), (1.05, 1.4, ""), (NAN, NAN, "")]
)
def test_a_departure_is_told_where_the_interval_shows_it(low: float, high: float, text: str) -> None:
    assert words.departure({"ratio_low": low, "ratio_high": high}) == text


def test_a_figure_says_its_numbers_and_shows_what_is_predicted() -> None:
    points = [
        {"at": at, "mean": at / 8, "low": at / 9, "high": at / 7, "ratio": 2.0} for at in (8.0, 16.0, 32.0)
    ]
    svg = law_figure(
        points,
        law(exponent=1.0, offset=0.0, factor=0.125),
        size="width",
        y="seconds",
        logarithmic=True,
        name="f",
    ).svg
    assert 'aria-label="seconds by width: 8: 1, 16: 2, 32: 4"' in svg
    assert "stroke-dasharray" in svg


def test_the_page_shows_laws_points_and_budgets() -> None:
    text = text_of(scaled(GRID))
    assert text.count('role="img"') == 2 * 2
    assert "nll falls with width to the power −0.800" in text
    assert "<caption>Best use of a budget on" in text
    assert text.count("<caption>") == 3
    assert text.count("<small>above</small>") == 2


def test_a_metric_without_a_joint_law_says_what_it_takes() -> None:
    text = text_of(scaled({"kind": "scaling", "sizes": {"model.width": WIDTHS}}))
    assert "takes 6 runs with 3 numbers of parameters" in text


def test_the_terminal_shows_the_same_tables() -> None:
    experiment = scaled(GRID)
    shown = [table.caption for table in summary([experiment], results_of(rows(experiment)))]
    assert [caption.rpartition(": ")[2] for caption in shown] == [
        "laws of one size",
        "sizes",
        "best use of a budget, by nll; outside of the runs, and so a guess, at 3 of 5 budgets",
    ]


def test_a_best_use_outside_of_the_runs_is_called_a_guess() -> None:
    row = {"flops": 1e9} | {
        f"{n}{e}": 2.0 for n in ("parameters", "data", "loss") for e in ("", "_low", "_high")
    }
    inside, outside = row | {"outside": ""}, row | {"outside": "data"}
    table = words.isoflop_table([inside, outside], metric="nll", caption="Best")
    assert table.caption == "Best; outside of the runs, and so a guess, at 1 of 2 budgets"
    assert [entry.note for entry in table.rows[0]] == [""] * 4
    assert [entry.note for entry in table.rows[1]] == ["", "", "outside of the runs", "by the law alone"]
    assert words.isoflop_table([inside], metric="nll", caption="Best").caption == "Best"
