"""What a report brings to MLflow: tables of several data sets, where an experiment has them."""

from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import aggregate, read_aggregate
from precisionflow.tracking.content import report_content
from tests.synthetic import evaluations, plausible, regression


@pytest.mark.parametrize("sets", [1, 3])
def test_tables_over_several_data_sets_are_those_of_the_aggregate(sets: int, tmp_path: Path) -> None:
    named = "".join(f"    set{k}: {{task.source.path: set{k}}}\n" for k in range(sets))
    last = "      heteroscedastic: {objective.kind: gaussian_nll}\n"
    whole = regression(
        ("ablation:\n", f"ablation:\n  datasets:\n{named}"),
        (last, last + "      natural: {objective.kind: natural}\n"),
        ("source: {kind: scikit_learn, name: diabetes}", "source: {kind: uci_folder, path: set0}"),
    )
    out, report = tmp_path / "aggregate", tmp_path / "report"
    aggregate([whole], evaluations=evaluations(whole, tmp_path, plausible), out=out)
    report.mkdir()
    (report / "report.html").write_text("<html></html>", encoding="utf-8")
    tables = report_content(whole, aggregate=out, report=report).tables
    over = tables.keys() - {"scores.json", "contrasts.json"}
    assert over == ({"across.json", "ranks.json", "iqm.json", "profiles.json"} if sets > 1 else set())
    for name in over:
        written = getattr(read_aggregate(out), name.removesuffix(".json")).to_pylist()
        assert len(tables[name]["data"]) == len(written)
        assert "experiment" not in tables[name]["columns"]
        first = dict(zip(tables[name]["columns"], tables[name]["data"][0], strict=True))
        assert first["metric"] == written[0]["metric"]
