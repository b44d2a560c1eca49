"""Files in odd forms: the block that `describe` prints of each is prepared, trained on, evaluated and reported."""

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml

from precisionflow.app.describe import described
from precisionflow.config import resolve
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import TABLE
from precisionflow.results.layout import Aggregated, PreparedSplit, Reported, Results
from tests.every_stage import through_every_stage

RANDOM = np.random.default_rng(0)
ROWS = 60
FRAME = pd.DataFrame(
    {
        "width": RANDOM.normal(2, 1, ROWS).round(3),
        "gap": RANDOM.normal(0, 1, ROWS).round(2),
        "wood": RANDOM.choice(["Eiche, rot", "Ahorn"], ROWS),
        "dry": RANDOM.choice(["Yes", "no"], ROWS),
        "cut": pd.date_range("2025-01-01", periods=ROWS).strftime("%d.%m.%Y"),
        "tree": np.arange(ROWS) // 5,
        "weights": RANDOM.uniform(0.5, 2, ROWS).round(2),
        "y": RANDOM.normal(0, 1, ROWS).round(3),
    }
)
FRAME.loc[::9, "gap"] = np.nan


class Odd(NamedTuple):
    name: str
    content: bytes
    kind: str
    changes: dict[str, Any] = {}
    """To what `describe` prints."""


def german() -> bytes:
    table = FRAME.drop(columns=["tree", "weights"]).assign(wood=FRAME["wood"] + " \xe4")
    return gzip.compress(table.to_csv(index=False, sep=";", decimal=",").encode())


def quotes() -> bytes:
    rows = [f'said "{("good", "bad")[n % 2]} and so on, {n}\t{("pos", "neg")[n % 2]}' for n in range(ROWS)]
    return "\n".join(["text\tlabel", *rows]).encode("utf-16-le")


def pairs() -> bytes:
    rows = [
        {"q": f"who is {n}?", "a": f"{n} is {'not ' * (n % 2)}here", "of": [n], "label": ["yes", "no"][n % 2]}
        for n in range(ROWS)
    ]
    return "\n".join(map(json.dumps, rows)).encode()


def conllu() -> bytes:
    words = [
        ("1-2", "vámonos", "_"),
        ("1", "vamos", "VERB"),
        ("2", "nos", "PRON"),
        ("2.1", "x", "_"),
        ("3", "ya", "ADV"),
    ]
    lines = ["\t".join([i, word, "_", tag, *["_"] * 6]) for i, word, tag in words]
    return "\r".join([*lines, " ", *lines, ""] * 20).encode()


def classes() -> bytes:
    table = FRAME[["dry", "cut"]].assign(ok=np.resize(["True", "0", ""], ROWS))
    return table.assign(sort=["once", *["a", "b"] * ROWS][:ROWS]).to_csv(index=False, sep="|").encode()


ODD = {
    "semicolons, decimal commas and gzip": Odd("beams (1).csv.gz", german(), "regression"),
    "UTF-16 without a mark, and quotes that are none": Odd("t.tsv", quotes(), "sequence_classification"),
    "groups, weights and gaps": Odd(
        "t.csv",
        FRAME.to_csv(index=False).encode("utf-8-sig"),
        "regression",
        {"split": {"kind": "grouped", "column": "tree"}, "weights": "weights", "missing": "median"},
    ),
    "pairs beside lists": Odd("t.jsonl", pairs(), "sequence_classification"),
    "ranges and empty nodes between carriage returns": Odd("t.conllu", conllu(), "tagging"),
    "classes with gaps beside one of a row": Odd("t.txt", classes(), "classification"),
    "no names": Odd(
        "n.csv", FRAME[["width", "y"]].to_csv(index=False, header=False).encode(), "regression"
    ),
    "a text of four bytes a character": Odd("t.md", ("Größe: «dunkel».\r\n" * 120).encode("utf-32"), "next_token"),
}  # fmt: skip


def experiment(task: dict[str, Any]) -> dict[str, Any]:
    table = task["kind"] in ("regression", "classification")
    model: dict[str, Any] = {"kind": "mlp", "hidden": [4]}
    if not table:
        model = {"kind": "transformer", "blocks": 1, "heads": 1, "width": 8}
    if task["kind"] in ("tagging", "sequence_classification"):
        model["attention"] = {"prior": {"kind": "full"}}
    return {
        "name": "odd",
        "task": task,
        "model": model,
        "objective": {"kind": "gaussian_nll" if task["kind"] == "regression" else "cross_entropy"},
        "training": {"steps": 2, "batch_size": 4, "validate_every": 1},
        "engine": {"kind": "torch", "device": "cpu"},
        "seeds": [0, 1],
    }


@pytest.mark.parametrize("form", ODD)
def test_what_describe_prints_goes_through_every_stage(tmp_path: Path, form: str) -> None:
    odd = ODD[form]
    path = tmp_path / odd.name
    path.write_bytes(odd.content)
    stated = ['names=["width", "y"]'] if form == "no names" else []
    out = described(path, target=None, form=stated)
    task = yaml.safe_load(out[out.index("\ntask:") :])["task"]
    assert task["kind"] == odd.kind
    context = {"context": 8} if odd.kind == "next_token" else {}
    whole = resolve(experiment(task | context | {"source": task["source"] | odd.changes}))
    results = Results(tmp_path / "out")
    through_every_stage(whole, results)
    table = read_parquet(Aggregated(results.aggregate).table, TABLE)
    assert table.num_rows > 0
    assert np.isfinite(table["mean"].to_numpy()).all()
    assert "odd" in Reported(results.report).page.read_text()
    card = read_card(PreparedSplit(next(results.data.glob("*/split-0"))).card, DatasetCard)
    assert min(card.rows.values()) > 0
