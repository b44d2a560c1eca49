"""Files in odd forms: the block that `describe` prints of each is prepared, trained on, evaluated and reported."""

import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from precisionflow.app.describe import described
from precisionflow.config import resolve
from precisionflow.data.batches import Rows
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
    form: tuple[str, ...] = ()
    """What `describe` asks for, in the end."""
    features: dict[str, list[float]] = {}
    """Values of features in the first rows; NaN where a median stands."""


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


def spreadsheet() -> bytes:
    rows = [f"n{n};{n % 17},5;1.{n:03d},25;{n % 90}%;;" for n in range(ROWS)]
    return "\r\n".join(["sep=;", "Bericht;;;;;", "Name;Wert;Wert;Anteil;;", *rows, ""]).encode("cp1252")


def latin() -> bytes:
    rows = [
        f"{sizes[n % 9 > 0]};{n % 28 + 1}.{n % 12 + 1}.2024;{('ja', 'nein')[n % 2]};{n % 7},25"
        for n in range(ROWS)
        for sizes in [("k.A.", f"1.{n:03d}.000,5")]
    ]
    return "\r\n".join(["Größe;Tag;trocken;Ziel", *rows]).encode("latin-1")


def typed() -> bytes:
    moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=36 * n) for n in range(ROWS)]
    table = pa.table(
        {
            "cat": pa.array([("x", "y")[n % 2] for n in range(ROWS)]).dictionary_encode(),
            "of codes": pa.array([float(n % 5) for n in range(ROWS)]).dictionary_encode(),
            "exact": pa.array([Decimal(n % 40).scaleb(-2) for n in range(ROWS)], pa.decimal128(10, 2)),
            "when": pa.array(moments, pa.timestamp("ms", "Europe/Berlin")),
            "nested": pa.array([[1, 2]] * ROWS),
            "short": pa.array(FRAME["width"].to_numpy().astype(np.float16)),
            "y": FRAME["y"],
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def unlike() -> bytes:
    rows = [
        {"a": str(n % 11) if n % 2 else n % 11, "b": f"{n}.250,5" if n % 3 else n + 0.125, "y": n % 7 / 8}
        for n in range(1, ROWS)
    ]
    return "\n".join(map(json.dumps, rows)).encode("utf-8-sig")


DAY = 19_723.0
"""2024-01-01 since 1970."""
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
        "n.csv", FRAME[["width", "y"]].to_csv(index=False, header=False).encode(), "regression",
        form=('names=["width", "y"]',),
    ),
    "a title, nameless columns and percents of a spreadsheet": Odd(
        "t.csv", spreadsheet(), "regression", features={"a": [0.5, 1.5]},
        form=("skip_lines=3", 'names=[name, a, y, share, "-", "--"]'),
    ),
    "ja and nein, k.A. and points between thousands": Odd(
        "t.csv", latin(), "regression", form=("encoding=latin-1",),
        features={"Tag": [DAY, DAY + 32], "trocken=ja": [1, 0], "Größe is missing": [1, 0],
                  "Größe": [np.nan, 1_001_000.5]},
    ),
    "typed columns": Odd(
        "t.parquet", typed(), "regression",
        features={"cat=x": [1, 0], "of codes": [0, 1, 2], "exact": [0, 0.01], "when": [DAY, DAY + 1.5]},
    ),
    "numbers and texts in a column of JSON": Odd(
        "t.jsonl", unlike(), "regression", features={"a": [1, 2, 3], "b": [1250.5, 2250.5, 3.125]},
    ),
    "pages between carriage returns": Odd("t.text", b"A line of text\rand another\fpage two\r" * 200, "next_token"),
    "a text of four bytes a character": Odd("t.md", ("Größe: «dunkel».\r\n" * 120).encode("utf-32"), "next_token"),
}  # fmt: skip


def prepared(split: PreparedSplit, card: DatasetCard) -> dict[str, np.ndarray]:
    """The features of all rows in the order of the file, in their units."""
    parts = [Rows.read(split.part(part)) for part in ("train", "valid", "test")]
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    features = card.table.restore_features(np.concatenate([part.features for part in parts])[order])
    return dict(zip(card.feature_names, features.T, strict=True))


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
    out = described(path, target=None, form=odd.form)
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
    if odd.features:
        given = prepared(PreparedSplit(next(results.data.glob("*/split-0"))), card)
        for name, values in odd.features.items():
            known = np.flatnonzero(np.isfinite(values))
            assert given[name][known] == pytest.approx(np.array(values)[known], rel=1e-6, abs=2e-3), name
