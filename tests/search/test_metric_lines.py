"""Lines of metrics as Katib's collector reads them."""

import pytest

from precisionflow.search.metric_lines import parse_line


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
