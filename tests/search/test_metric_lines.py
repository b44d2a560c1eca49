"""Lines of metrics as Katib's collector reads them."""

import pytest

from precisionflow.search.metric_lines import Strategy, chosen, observed, parse_line


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
        ("validation-nll=1", []),
        ("nll=1 nll=2", [("nll", 1.0), ("nll", 2.0)]),
        ("other=1", []),
    ],
)
def test_a_line_reports_what_the_collectors_filter_finds(line: str, found: list[tuple[str, float]]) -> None:
    assert parse_line(line, ("nll", "rmse")) == found


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
