"""Lines of metrics as Katib's collector reads them."""

import math
import random
import re

import pytest

from precisionflow.config import Experiment
from precisionflow.search.metric_lines import (
    SEARCHED,
    Strategy,
    chosen,
    metric_lines,
    observed,
    parse_line,
)
from tests.synthetic import regression


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("nll=0.25", [("nll", 0.25)]),
        ("epoch 3: nll = -1.5e-3, rmse=2", [("nll", -0.0015), ("rmse", 2.0)]),
        ("val/nll=0.3", [("nll", 0.3)]),
        ("nll=.5", [("nll", 0.5)]),
        ("nll: 0.3", []),
        ("nll=nan", []),
        ("nll=", []),
        ("nll=inf", []),
        ("nll=1e400 rmse=2", [("rmse", 2.0)]),
        ("nll=-" + "9" * 400, []),
        ("nll=1e-400", [("nll", 0.0)]),
        ("nll= rmse=2", [("rmse", 2.0)]),
        ("nll=1rmse=2", [("nll", 1.0), ("rmse", 2.0)]),
        ("nll=rmse=2", [("rmse", 2.0)]),
        ("nll nll = 2", [("nll", 2.0)]),
        ("validation-nll=1", []),
        ("nll=1 nll=2", [("nll", 1.0), ("nll", 2.0)]),
        ("other=1", []),
    ],
)
def test_a_line_reports_what_the_collectors_filter_finds(line: str, found: list[tuple[str, float]]) -> None:
    assert parse_line(line, ("nll", "rmse")) == found


KATIBS = re.compile(r"([\w|-]+)\s*=\s*([+-]?\d*(?:\.\d+)?(?:[Ee][+-]?\d+)?)", re.ASCII)
"""Katib's filter as it stands in its file metrics collector."""


def test_pairs_are_those_of_katibs_expression_on_any_text() -> None:
    draws = random.Random(0)
    for _ in range(3000):
        line = "".join(draws.choices("nl-|= .5e+/\t", k=draws.randrange(30)))
        expected = [(name, float(value)) for name, value in KATIBS.findall(line) if number(value)]
        assert parse_line(line, {name for name, _ in expected}) == expected, line


def number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@pytest.mark.parametrize("noise", ["x", "x=", " ", "1", "-", "x ", "=", "nll=1 ", "e"])
def test_a_long_line_is_read_in_one_pass(noise: str) -> None:
    """A limit of minutes for a quadratic reading; a linear one takes under a second."""
    line = noise * 400_000 + " rmse=0.5\n"
    assert parse_line(line, ["rmse"]) == [("rmse", 0.5)]


def test_numbers_and_names_are_ascii_as_in_katibs_expression() -> None:
    assert parse_line("nll=\u0663", ["nll"]) == []
    assert parse_line("\u00e9nll=1", ["nll"]) == [("nll", 1.0)]
    assert parse_line("nll\u00a0=1", ["nll"]) == []


@pytest.mark.parametrize(("strategy", "value"), [("min", 1.0), ("max", 3.0), ("latest", 2.0)])
def test_one_report_counts_here_and_on_katib(strategy: Strategy, value: float) -> None:
    assert chosen([3.0, 1.0, 2.0], strategy) == value
    assert observed({"min": "1.0", "max": "3.0", "latest": "2.0"}, strategy) == value


def test_katib_has_no_lowest_of_reports_that_are_no_numbers() -> None:
    silent = dict.fromkeys(("min", "max", "latest"), "unavailable")
    assert observed(silent | {"latest": "2.0"}, "min") == 2.0
    assert observed(silent, "max") is None
    assert observed(silent | {"latest": "1e400"}, "min") is None
    assert observed(dict.fromkeys(silent, "nan"), "latest") is None


def printed(measured: dict[str, float], experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> str:
    with metric_lines(experiment) as tell:
        tell(0, 0, 10, measured)
    return capsys.readouterr().out


def test_a_validation_prints_its_loss_and_speed(capsys: pytest.CaptureFixture[str]) -> None:
    """A step of 0.25 s on 32 rows: 128 rows a second."""
    experiment = regression()
    assert experiment.training.batch_size == 32
    out = printed({"validation_loss": 1 / 3, "seconds_per_step": 0.25}, experiment, capsys)
    assert out == "validation_loss=0.333333333\nseconds_per_step=0.25\nsamples_per_second=128\n"
    assert [name for line in out.splitlines() for name, _ in parse_line(line, SEARCHED)] == list(SEARCHED)


def test_what_katib_cannot_read_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed({"validation_loss": math.nan, "seconds_per_step": 0.5}, regression(), capsys)
    assert out == "seconds_per_step=0.5\nsamples_per_second=64\n"
