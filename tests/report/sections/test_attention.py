"""The section on attention and its tables, and the figure of edges, from invented means."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.records.files import write_parquet
from precisionflow.records.schemas import ATTENTION, ATTENTION_HISTORY, EDGES
from precisionflow.report.attention import head_table, history_table, mean_of, symbol_table
from precisionflow.report.figures.attention import heatmap
from precisionflow.report.sections.attention import histories, maps, tables_of


def rows(precisions: dict[str, float], n: int = 10) -> list[dict]:
    return [
        {
            "layer": layer,
            "head": 0,
            "symbol": symbol,
            "n": n,
            "entropy": math.log(4),
            "log_precision": math.log(p),
        }
        for layer in (0, 1)
        for symbol, p in precisions.items()
    ]


def test_means_count_tokens():
    few, many = (
        {"n": 1, "entropy": 4.0, "log_precision": 8.0},
        {"n": 3, "entropy": 0.0, "log_precision": 0.0},
    )
    assert mean_of([few, many]) == (4, 1.0, 2.0)
    assert math.isnan(mean_of([{"n": 1, "entropy": 4.0}]).log_precision)


def test_heads_have_their_entropy_keys_and_least_trusted_symbols():
    table = head_table(rows({"a": 8.0, "b": 0.5, "c": 2.0, "d": 4.0}), caption="heads")
    assert [[entry.text for entry in row] for row in table.rows] == [
        ["layer 0 head 0", "1.39", "4.00", "2.38", "'b' 'c' 'd'"],
        ["layer 1 head 0", "1.39", "4.00", "2.38", "'b' 'c' 'd'"],
    ]


def test_symbols_stand_by_precision_and_rare_ones_do_not_count():
    given = rows({"a": 8.0, "b": 0.5, "c": 2.0}) + rows({"rare": 0.001}, n=1)
    table = symbol_table(given, caption="symbols")
    assert [row[0].text for row in table.rows] == ["'b'", "'c'", "'a'"]
    assert [entry.text for entry in table.rows[0]] == ["'b'", "10", "0.500", "0.500", "0.500"]
    without = [{name: value for name, value in row.items() if name != "log_precision"} for row in given]
    assert symbol_table(without, caption="symbols") is None
    assert len(head_table(without, caption="heads").columns) == 3


def over(steps: dict[int, dict[str, float]]) -> list[dict]:
    return [row | {"step": step} for step, precisions in steps.items() for row in rows(precisions)]


def texts(table) -> list[list[str]]:
    return [[entry.text for entry in row] for row in (table.columns, *table.rows)]


def test_symbols_over_training_stand_by_their_last_precision():
    given = over({10: {"a": 2.0, "b": 1.0}, 20: {"a": 0.5, "b": 1.0, "c": 4.0}})
    table = history_table(given, of="symbol", column="log_precision", caption="symbols")
    assert texts(table) == [
        ["symbol", "step 10", "step 20"],
        ["'a'", "2.00", "0.500"],
        ["'b'", "1.00", "1.00"],
        ["'c'", "-", "4.00"],
    ]


def test_layers_over_training_have_means_of_their_tokens():
    given = over({step: {"a": 4.0, "b": 1.0} for step in range(0, 1100, 100)})
    table = history_table(given, of="layer", column="log_precision", caption="layers")
    assert texts(table) == [
        ["layer", *(f"step {step:,}" for step in (0, 200, 400, 600, 800, 1000))],
        ["layer 0", *["2.00"] * 6],
        ["layer 1", *["2.00"] * 6],
    ]
    unstated = [row | {"log_precision": math.nan} for row in given]
    assert history_table(unstated, of="layer", column="log_precision", caption="layers") is None
    assert texts(history_table(unstated, of="layer", column="entropy", caption="layers"))[1][1] == "1.39"


def test_of_many_symbols_both_ends_are_shown():
    table = symbol_table(rows({chr(97 + i): 1.0 + i for i in range(26)}), caption="symbols")
    assert [row[0].text for row in table.rows] == [f"'{c}'" for c in "abcdefghij" + "qrstuvwxyz"]


def test_an_edge_is_as_dark_as_it_is_probable():
    p = np.array([[1.0, 0.0], [0.25, 0.75]])
    svg = heatmap(p, ["<", " "], alt="edges & tokens").svg
    shades = {float(o): d for o, d in re.findall(r'fill-opacity="([\d.]+)" d="([^"]+)"', svg)}
    assert sorted(shades) == pytest.approx([0.5, round(math.ceil(12 * math.sqrt(0.75) - 0.5) / 12, 2), 1.0])
    assert all(d.count("M") == 1 for d in shades.values())
    assert "&lt;" in svg
    assert "edges &amp; tokens" in svg


def test_the_section_shows_variants_whose_evaluation_looked_inside(tmp_path):
    """Two runs count together, and a variant that was not looked into is left out."""
    for run, precision in enumerate((2.0, 8.0)):
        table = pa.Table.from_pylist(rows({"a": precision}), schema=ATTENTION)
        write_parquet(table, tmp_path / f"run-{run}" / "attention.parquet", ATTENTION)
    evaluations = {"one": [tmp_path / "run-0", tmp_path / "run-1"], "other": [tmp_path / "nothing"]}
    variants = [SimpleNamespace(name=name) for name in evaluations]
    group = SimpleNamespace(variants=variants, dataset="text", evaluations=evaluations)
    heads, symbols = tables_of(group)
    assert (heads.caption, symbols.caption) == (
        "Heads of one on text",
        "Symbols of one by the precision that they state",
    )
    assert [row[3].text for row in heads.rows] == ["4.00", "4.00"]


def test_the_section_shows_variants_that_were_looked_into_while_they_trained(tmp_path):
    given = [row | {"network": 0} for row in over({10: {"a": 2.0}, 20: {"a": 8.0}})]
    table = pa.Table.from_pylist(given, schema=ATTENTION_HISTORY)
    write_parquet(table, tmp_path / "run" / "attention.parquet", ATTENTION_HISTORY)
    cells = {"one": [tmp_path / "run"], "other": [tmp_path / "nothing"]}
    group = SimpleNamespace(
        variants=[SimpleNamespace(name=name) for name in cells],
        trained=SimpleNamespace(folders=None),
        cells_of=lambda _, variant: cells[variant.name],
    )
    entropy, precision, symbols = histories(group)
    assert [texts(of)[1] for of in (entropy, precision, symbols)] == [
        ["layer 0", "1.39", "1.39"],
        ["layer 0", "2.00", "8.00"],
        ["'a'", "2.00", "8.00"],
    ]
    assert symbols.caption == "Precision by symbol while one trains, geometric mean"


def test_the_section_maps_the_edges_of_the_first_run_with_their_tokens(tmp_path):
    tokens, probabilities = ["<", "b"], [[1.0, 0.0], [0.25, 0.75]]
    given = [
        {
            "layer": 1,
            "head": 3,
            "query": query,
            "key": key,
            "token": tokens[query],
            "attended": tokens[key],
            "probability": probabilities[query][key],
        }
        for query in (0, 1)
        for key in (0, 1)
    ]
    write_parquet(
        pa.Table.from_pylist(given, schema=EDGES), tmp_path / "run" / "evaluation" / "edges.parquet", EDGES
    )
    of = SimpleNamespace(seeds=(4, 5), splits=(2,))
    cells = {"one": [tmp_path / "run" / "evaluation", tmp_path / "nothing"], "other": [tmp_path / "nothing"]}
    variants = [SimpleNamespace(name=name, experiment=of) for name in cells]
    (picture,) = maps(SimpleNamespace(variants=variants, dataset="text", evaluations=cells))
    assert (
        picture.caption
        == "one on text, seed 4, split 2: layer 1 head 3, that of the least entropy, over the first 2 tokens "
        "of the test text."
    )
    drawn = heatmap(
        np.array(probabilities),
        tokens,
        alt="Posterior over edges of layer 1 head 3, one on text, seed 4, split 2",
    )
    assert picture.drawn.svg == drawn.svg
    assert "0.25" in picture.drawn.numbers.html
