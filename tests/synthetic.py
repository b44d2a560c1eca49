"""Results folders of invented training runs: what train and evaluate would write, with plausible numbers."""

import math
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from precisionflow.ablation.design import Variant, expand
from precisionflow.config import Experiment, parse
from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.predictions import predictions_table, predictive_distribution
from precisionflow.evaluation.where import bins_of, bins_table, named_cell
from precisionflow.records.cards import CostCard, DatasetCard, ModelCard
from precisionflow.records.files import read_card, write_card, write_parquet
from precisionflow.records.marker import MARKER, digests_of, read_marker
from precisionflow.records.schemas import BINS, CLASS_PREDICTIONS, HISTORY, METRICS, PREDICTIONS
from precisionflow.results.code import code_version
from precisionflow.results.layout import cell_folder
from precisionflow.results.stage import once

REGRESSION = """
name: noise
question: Does learned noise help?
task: {kind: regression, source: {kind: scikit_learn, name: diabetes}}
model: {kind: mlp, hidden: [8]}
objective: {kind: gaussian_nll}
seeds: [0, 1]
splits: [0, 1, 2, 3, 4, 5, 6]
ablation:
  axes:
    noise:
      homoscedastic: {objective.kind: homoscedastic}
      heteroscedastic: {objective.kind: gaussian_nll}
"""

LANGUAGE = """
name: twins
question: Does predictive coding match <script>alert("backprop")</script> & co.?
task: {kind: next_token, source: {kind: scikit_learn_text}, context: 16}
model: {kind: transformer, blocks: 1, heads: 2, width: 8}
objective: {kind: cross_entropy}
seeds: [0, 1, 2]
ablation:
  axes:
    learning:
      backprop: {learning.kind: backprop}
      predictive_coding: {learning.kind: predictive_coding}
    attention:
      dot_product: {model.attention.potential.kind: dot_product}
      precision: {model.attention.potential.kind: gaussian_per_key}
"""

Measure = Callable[[Variant, int, int], dict[str, float]]
"""(variant, seed, split) -> metric -> value."""


def regression(*replacements: tuple[str, str]) -> Experiment:
    return parse(_replaced(REGRESSION, replacements))


def language(*replacements: tuple[str, str]) -> Experiment:
    return parse(_replaced(LANGUAGE, replacements))


def _replaced(text: str, replacements: tuple[tuple[str, str], ...]) -> str:
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def evaluations(
    experiment: Experiment,
    root: Path,
    measure: Measure,
    *,
    rows: int = 0,
    rows_learned: int = 398,
    test: str = "0",
) -> list[Path]:
    """The evaluation folders of all variants; with `rows`, each cell also has that many predictions."""
    work = partial(write_evaluated, measure=measure, rows=rows, rows_learned=rows_learned, test=test)
    return _folders(experiment, root, "evaluate", work)


def models(experiment: Experiment, root: Path) -> list[Path]:
    """The model folders of all variants: card and history."""
    return _folders(experiment, root, "train", write_trained)


def plausible(variant: Variant, seed: int, split: int) -> dict[str, float]:
    """Metrics of a cell: a level for the data, a shift for the variant, noise for seed and split."""
    noise = _generator(variant, seed, split)
    shift = -0.04 * any(level in ("heteroscedastic", "precision") for level in variant.levels.values())
    nll = 2.1 + 0.05 * math.sin(split) + shift + 0.004 * noise.standard_normal()
    shared = {"nll": nll, "crps": nll / 3, "rmse": nll / 2}
    if variant.experiment.task.kind == "regression":
        coverage = {
            f"coverage_{level}": level / 100 - 0.03 + 0.02 * noise.random() for level in (50, 80, 90, 95)
        }
        width = {f"width_{level}": 40.0 + level + noise.random() for level in (50, 80, 90, 95)}
        return shared | {"pit_error": 0.02, "validation_loss": nll} | coverage | width
    return {
        "nll": nll,
        "bits_per_character": nll / math.log(2),
        "ece": 0.03 + 0.004 * noise.random(),
        "brier": 0.7 + 0.01 * noise.random(),
        "accuracy": 0.41 + 0.01 * noise.random(),
        "validation_loss": nll + 0.02,
    }


def _folders(experiment: Experiment, root: Path, verb: str, work: Callable[..., None]) -> list[Path]:
    folders = []
    for variant in expand(experiment):
        folder = root / verb / experiment.name / variant.dataset / variant.name
        for seed in experiment.seeds:
            for split in experiment.splits:
                out = cell_folder(folder, seed, split)
                inputs = [variant.experiment.hash, seed, split]
                once(out, verb=verb, inputs=inputs, work=lambda p, c=(variant, seed, split): work(p, *c))
        folders.append(folder)
    return folders


def learned_from(cell: Path, data: DatasetCard) -> None:
    """Have the card of a cell say that it was trained on prepared data."""
    file = cell / "model.json"
    card = read_card(file, ModelCard)
    write_card(card.model_copy(update={"source_sha256": data.source_sha256}), file)
    mark_again(cell)


def mark_again(stage: Path) -> None:
    """Digests of a finished stage anew, after a test has put other files there."""
    marker = read_marker(stage)
    assert marker is not None
    (stage / MARKER).unlink()
    write_card(marker.model_copy(update={"files": digests_of(stage)}), stage / MARKER)


def _generator(variant: Variant, seed: int, split: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(variant.name.encode()), seed, split])


def write_evaluated(
    out: Path,
    variant: Variant,
    seed: int,
    split: int,
    *,
    measure: Measure,
    rows: int = 0,
    rows_learned: int = 398,
    test: str = "0",
) -> None:
    """Metrics of a cell, and predictions where there are to be rows of them."""
    key = {
        "experiment": variant.experiment.name,
        "variant": variant.name,
        "dataset": variant.dataset,
        "seed": seed,
        "split": split,
    }
    key |= {"n": 44, "n_train": rows_learned, "test": test}
    lines = [
        key | {"metric": m, "value": float(v), "chance": _chance(m, v)}
        for m, v in measure(variant, seed, split).items()
    ]
    write_parquet(pa.Table.from_pylist(lines, METRICS), out / "metrics.parquet", METRICS)
    write_card(CostCard(parameters=1234, steps=200, batch_size=32, seconds_per_step=0.02), out / "cost.json")
    if rows:
        table, schema = _predictions(variant, _generator(variant, seed, split), rows)
        write_parquet(table, out / "predictions.parquet", schema)
        if schema is PREDICTIONS:
            bins = named_cell(_bins(table), variant.experiment, seed=seed, split=split)
            write_parquet(bins, out / "bins.parquet", BINS)


def _bins(predictions: pa.Table) -> pa.Table:
    """Bins of one feature, which is the row's number."""
    row = predictions["row"].to_numpy()
    feature = row.astype(np.float64)
    return bins_table(
        predictive_distribution(predictions),
        predictions["target"].to_numpy(),
        row=row,
        keys={"place": bins_of(feature, feature)},
    )


def _chance(metric: str, value: float) -> np.ndarray:
    """Of a coverage the same in every cell, of calibration errors one of each value's own."""
    if metric.startswith("coverage_"):
        return float(metric.removeprefix("coverage_")) / 100 + np.linspace(-0.05, 0.05, 39)
    return np.linspace(0, value, 39) if metric in ("ece", "pit_error") else np.empty(0)


def _predictions(variant: Variant, noise: np.random.Generator, rows: int) -> tuple[pa.Table, pa.Schema]:
    index = np.arange(rows)
    if variant.experiment.task.kind == "regression":
        target = 150 + 50 * noise.standard_normal(rows)
        mean, std = target + 40 * noise.standard_normal(rows), np.full(rows, 40.0 * 0.9)
        return predictions_table(gaussian(mean, std), row=index, target=target), PREDICTIONS
    confidence = noise.uniform(0.05, 1.0, rows)
    columns = {
        "row": index,
        "target": pa.array(index % 7, pa.int32()),
        "log_probability": np.log(confidence),
        "confidence": confidence,
        "correct": noise.random(rows) < confidence**1.15,
        "entropy": -np.log(confidence),
        "brier": 1 - confidence,
    }
    return pa.table(columns), CLASS_PREDICTIONS


def write_trained(out: Path, variant: Variant, seed: int, split: int) -> None:
    """Card and history of a cell."""
    noise = _generator(variant, seed, split)
    settles = variant.levels.get("learning") == "predictive_coding"
    experiment = variant.experiment
    card = ModelCard(
        planned_steps=200,
        batch_size=32,
        experiment=experiment,
        experiment_hash=experiment.hash,
        code_version=code_version("train"),
        seed=seed,
        source_sha256="0",
        split=split,
        parameters=1234,
        steps=200,
        validation_loss=2.0 + 0.01 * settles + 0.001 * noise.standard_normal(),
        seconds_per_step=0.020 * (2.5 if settles else 1.0),
    )
    write_card(card, out / "model.json")
    history = []
    for step in range(1, 201):
        loss = 2.0 + 1.6 * math.exp(-step / 60) + 0.03 * noise.standard_normal()
        history.append({"step": step, "metric": "train_loss", "value": loss})
        history.append({"step": step, "metric": "energy", "value": loss * 0.97})
        if step % 20 == 0:
            history.append({"step": step, "metric": "validation_loss", "value": loss + 0.05})
    write_parquet(pa.Table.from_pylist(history, HISTORY), out / "history.parquet", HISTORY)
