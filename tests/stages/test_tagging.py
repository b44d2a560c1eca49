"""Tagged words through all five verbs in one process, by both ways of learning, features learned beside."""

import re
from pathlib import Path

import numpy as np
import pytest

from precisionflow.config import resolve
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import TABLE
from precisionflow.results.layout import Aggregated, Reported, Results
from tests.every_stage import through_every_stage

AXES = {
    "learning": {
        "backprop": {"learning.kind": "backprop"},
        "predictive_coding": {"learning.kind": "predictive_coding"},
    },
    "attention": {
        "dot_product": {"model.attention.potential.kind": "dot_product"},
        "precision": {"model.attention.potential.kind": "gaussian_per_key"},
    },
}


def write(file: Path) -> Path:
    """Words whose end tells their tag, a fifth of them wrong."""
    random, lines = np.random.default_rng(1), []
    for i in range(60):
        for place in range(1, 2 + i % 5):
            tag = random.integers(3)
            word = f"w{random.integers(9)}{('ing', 'ed', 'ly')[tag]}"
            told = (tag + (random.random() < 0.2)) % 3
            lines.append(
                "\t".join([str(place), word, "_", "_", f"T{told}", f"End={tag}", "0", "_", "_", "_"])
            )
        lines.append("")
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, str]:
    folder = tmp_path_factory.mktemp("tags")
    file = write(folder / "a.conllu")
    whole = resolve(
        {
            "name": "tags",
            "task": {
                "kind": "tagging",
                "source": {"kind": "conllu", "path": str(file), "test": str(file)},
                "column": "xpos",
                "auxiliary": {"feats": 0.5},
                "tokens": {"kind": "hashed_words", "buckets": 200},
                "context": 4,
            },
            "model": {
                "kind": "transformer",
                "blocks": 1,
                "heads": 2,
                "width": 8,
                "attention": {"prior": {"kind": "full"}},
            },
            "objective": {"kind": "cross_entropy"},
            "training": {"steps": 12, "batch_size": 16, "learning_rate": 0.03, "validate_every": 6},
            "engine": {"kind": "torch", "device": "cpu"},
            "evaluation": {"recalibration": ["temperature"]},
            "ablation": {"axes": AXES},
            "seeds": [0, 1],
        }
    )
    results = Results(folder / "results")
    through_every_stage(whole, results)
    return results, Reported(results.report).page.read_text(encoding="utf-8")


def test_every_variant_has_its_scores(page):
    rows = read_parquet(Aggregated(page[0].aggregate).table, TABLE).to_pylist()
    accuracy = {row["variant"]: row["mean"] for row in rows if row["metric"] == "accuracy"}
    assert set(accuracy) == {f"{a}+{b}" for a in AXES["learning"] for b in AXES["attention"]}
    assert min(accuracy.values()) > 0.4


def test_the_report_speaks_of_words_and_tags(page):
    shown = " ".join(re.sub(r"<[^>]+>", " ", page[1]).split())
    assert "bars: share of words" in shown
    assert "the most probable tag is right less often" in shown
    assert "words of a sentence depend on each other" in shown


def test_the_report_has_a_table_of_tags_and_of_the_commonest_errors(page):
    shown = " ".join(re.sub(r"<[^>]+>", " ", page[1]).split())
    assert "Classes of backprop+dot_product" in shown
    assert re.search(r"Commonest errors of \S+, all cells", shown)
    assert re.search(r"T[012] T[012] \d+ \d+\.\d%", shown)
    assert re.search(r"T1 \d+ 0\.\d{3} 0\.\d{3} 0\.\d{3} 0\.\d{4} by chance", shown)
