"""Tiny Shakespeare, CPU size, against its published validation loss of 1.88; and what each brick is worth.

Settings are chosen on the tenth of the text before the published validation part, which is held out. What is measured
has learned from all of the published training text with the same settings, never stopped. Its logits are divided by the
geometric mean of two temperatures, of networks with its seed that learned from the first 80 % and 70 % of the text,
each for the tenth that follows: the published validation part follows the whole in the same way (rolling origins,
Tashman 2000). Data are read through PRECISIONFLOW_DATA.
"""

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measured import Measured, present, run_experiment, running_arguments

from precisionflow.ablation.design import expand
from precisionflow.ablation.statistics import Interval, mean_interval
from precisionflow.config import Experiment, load
from precisionflow.evaluation.classes import ClassScores
from precisionflow.evaluation.predictor import load_predictor
from precisionflow.evaluation.recalibration.temperature import log_tempered
from precisionflow.evaluation.recalibration.temperature import temperature as fitted
from precisionflow.evaluation.tasks.next_token import TokenPredictor
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.recalibration import RecalibrationCard, TemperatureFit
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import EvaluatedCell, Part, PreparedSplit, Results, cell_folder, data_folder
from precisionflow.training.batches import part_batches

PUBLISHED = 1.88
BAR, CALIBRATION_BAR, TWIN_BAR = 1.62, 0.01, 0.01
WHOLE = "task.validation_fraction=0.0001"
"""Leaves 111 characters out of the training text, the fewest that a validation part may have."""
EARLIER = "task.test_fraction=0.2000006"
"""Moves the held-out part back by a tenth of the text, so that 70 % are learned from."""
BACKPROP, TWIN = "backprop+dot_product", "predictive_coding+dot_product"
ALONE = "default"
"""What backpropagation with the dot product is called where the experiment has no axes."""
BRICKS = {
    "the default": (),
    "learned positions": ("model.positions=learned",),
    "no positions": ("model.positions=none",),
    "layer norm": ("model.norm=layer",),
    "no query-key norm": ("model.query_key_norm=false",),
    "GELU": ("model.activation=gelu",),
    "SiLU": ("model.activation=silu",),
    "tied readout": ("model.tied_readout=true",),
    "random projections": ("model.zero_projections=false",),
    "AdamW for all": ("training.optimiser.kind=adamw",),
    "no weight decay": ("training.weight_decay=0",),
}


class Folders(NamedTuple):
    """Results of the protocols."""

    held_out: Path
    earlier: Path
    whole: Path


class Variants(NamedTuple):
    """A variant in each protocol."""

    held_out: Experiment
    """Learns from 80 %; the tenth that follows validates."""
    earlier: Experiment
    """Learns from 70 %; the tenth that follows validates."""
    whole: Experiment
    """Learns from all of the published training text."""


def metric(folder: Path, variant: Experiment, name: str) -> list[float]:
    """Value of a metric for every seed."""
    found = []
    for seed in variant.seeds:
        cell = EvaluatedCell(cell_folder(Results(folder).evaluation(variant), seed, 0))
        rows = read_parquet(cell.metrics, METRICS).to_pylist()
        found += [row["value"] for row in rows if row["metric"] == name]
    return found


def temperature(folder: Path, variant: Experiment, seed: int) -> float:
    """Temperature of a network for its validation part."""
    cell = EvaluatedCell(cell_folder(Results(folder).evaluation(variant), seed, 0))
    (fit,) = read_card(cell.recalibration, RecalibrationCard).fits
    assert isinstance(fit, TemperatureFit)
    return fit.factor


def stated(
    folder: Path, variant: Experiment, seed: int, part: Part = "test"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(log probabilities, targets) of every batch of a part."""
    results = Results(folder)
    data = PreparedSplit(data_folder(results.data, variant, 0))
    predictor = load_predictor(
        cell_folder(results.model(variant), seed, 0), read_card(data.card, DatasetCard)
    )
    assert isinstance(predictor, TokenPredictor)
    batches = part_batches(variant, data.part(part))
    return [(predictor.predict(b).flatten(0, 1).numpy(), b.target.flatten().numpy()) for b in batches]


def scored(
    variant: Experiment, batches: Sequence[tuple[np.ndarray, np.ndarray]], factor: float
) -> ClassScores:
    """Scores of predictions at a temperature."""
    scores = ClassScores(variant.evaluation.bins, np.arange(sum(len(target) for _, target in batches)))
    for log_probabilities, target in batches:
        scores.add(log_tempered(log_probabilities, factor), target)
    return scores


def tempered(folder: Path, variant: Experiment, seed: int, factor: float) -> dict[str, float]:
    """Metrics of a network for the published validation part at a given temperature."""
    return scored(variant, stated(folder, variant, seed), factor).metrics


def explained(folders: Folders, of: Variants) -> None:
    """Where a temperature is off, of the first seed: by tenth of each part, by chance, by the texts that were drawn."""
    held_out, whole, half, full = folders.held_out, folders.whole, of.held_out, of.whole
    seed = half.seeds[0]
    parts = {
        "held-out part, 80 %": stated(held_out, half, seed, "valid"),
        "test part, 80 %": stated(held_out, half, seed),
        "test part, whole": stated(whole, full, seed),
    }
    factor = temperature(held_out, half, seed)
    for name, batches in parts.items():
        log_probabilities, targets = (np.concatenate(of) for of in zip(*batches, strict=True))
        tenths = zip(np.array_split(log_probabilities, 10), np.array_split(targets, 10), strict=True)
        of_each = " ".join(f"{fitted(np.exp(some), of):.2f}" for some, of in tenths)
        own = fitted(np.exp(log_probabilities), targets)
        print(f"{name}: temperature {own:.3f}, by tenth {of_each}")
        scores = scored(half, batches, factor)
        low, high = np.quantile(chance := scores.chance["ece"], [0.025, 0.975])
        after = scored(half, batches, own).metrics["ece"]
        print(f"  ECE {scores.metrics['ece']:.4f} at {factor:.3f}, {after:.4f} at its own", end="; ")
        print(f"by chance {chance.mean():.4f} ({low:.4f} to {high:.4f})")
        states = log_tempered(log_probabilities, factor)
        excess = (states.argmax(1) == targets) - np.exp(states.max(1))
        errors = [
            f"{np.std(blocks, ddof=1) / np.sqrt(len(blocks)):.4f} by {size:,}"
            for size in (1, 1000, 11_000)
            for blocks in [excess[: len(excess) // size * size].reshape(-1, size).mean(1)]
        ]
        print(
            f"  accuracy less confidence {excess.mean():.4f}, standard error {', '.join(errors)} characters"
        )


def shown(values: Sequence[float]) -> str:
    """Mean ± half the 95 % interval."""
    of: Interval = mean_interval(values, confidence=0.95)
    return f"{of.mean:.4f} ± {(of.high - of.low) / 2:.4f}"


class Temperatures(NamedTuple):
    """Of one seed."""

    one: float
    """Of the network that learned from 80 %, for the tenth that follows."""
    two: float
    """The geometric mean of it and of that of the network that learned from 70 %, for the tenth that follows there."""


def calibrated(
    folders: Folders, of: Variants
) -> Iterator[tuple[Temperatures, dict[str, float], dict[str, float]]]:
    """Temperatures of every seed, and metrics for the published validation part after each."""
    for seed in of.whole.seeds:
        one = temperature(folders.held_out, of.held_out, seed)
        two = float(np.sqrt(one * temperature(folders.earlier, of.earlier, seed)))
        found = [tempered(folders.whole, of.whole, seed, factor) for factor in (one, two)]
        yield Temperatures(one, two), found[0], found[1]


def compared(folders: Folders, variants: Mapping[str, Variants]) -> list[Measured]:
    """Every variant's loss and calibration as Markdown; the bars."""
    losses: dict[str, list[float]] = {}
    calibration: dict[str, list[float]] = {}
    for name, of in variants.items():
        losses[name] = metric(folders.whole, of.whole, "nll")
        factors, by_one, by_two = zip(*calibrated(folders, of), strict=True)
        calibration[name] = [metrics["ece"] for metrics in by_two]
        cells = (
            shown(metric(folders.held_out, of.held_out, "validation_loss")),
            shown(losses[name]),
            shown(metric(folders.whole, of.whole, "ece")),
            f"{np.mean([each.one for each in factors]):.3f}",
            shown([metrics["ece"] for metrics in by_one]),
            f"{np.mean([each.two for each in factors]):.3f}",
            shown(calibration[name]),
            shown([metrics["nll"] for metrics in by_two]),
        )
        print(f"| {name} | " + " | ".join(cells) + " |")
    backprop = next(name for name in losses if name in (BACKPROP, ALONE))
    ours = statistics.mean(losses[backprop])
    twins = [statistics.mean(losses[name]) for name in losses if name == TWIN]
    return [
        Measured("backprop, validation loss", ours, "nats", bar=BAR),
        Measured("backprop, validation loss less the published", ours - PUBLISHED, "nats", bar=0.0),
        *(Measured("predictive coding over backprop, less 1", of / ours - 1, "1", TWIN_BAR) for of in twins),
        *(
            Measured(
                f"{name}, ECE after temperature", statistics.mean(calibration[name]), "1", CALIBRATION_BAR
            )
            for name in losses
            if name in (backprop, TWIN)
        ),
    ]


def ablated(folder: Path) -> None:
    """One brick exchanged at a time, one seed, on the held-out part, as Markdown."""
    losses: Mapping[str, float] = {}
    for name, settings in BRICKS.items():
        chosen = ["ablation.axes={}", "seeds=[0]", *settings]
        run_experiment("shakespeare", folder / name.replace(" ", "-"), settings=chosen)
        (variant,) = expand(load("shakespeare", chosen))
        (loss,) = metric(folder / name.replace(" ", "-"), variant.experiment, "validation_loss")
        losses = {**losses, name: loss}
        print(f"| {name} | {loss:.4f} | {loss - losses['the default']:+.4f} |".replace("-", "\N{MINUS SIGN}"))


def main() -> None:
    """Train all protocols, compare; with `--bricks` the ablation too."""
    parser = running_arguments(__doc__)
    parser.add_argument("--alone", action="store_true", help="backpropagation with the dot product, no axes")
    parser.add_argument("--why", action="store_true", help="also tell where the temperature is off")
    parser.add_argument("--bricks", action="store_true", help="also exchange every brick once")
    given = parser.parse_args()
    settings = [*given.settings, *(["ablation.axes={}"] if given.alone else [])]
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        folders = Folders(out / "held-out", out / "earlier", out / "whole")
        expanded = []
        for folder, more in zip(folders, ([], [EARLIER], [WHOLE]), strict=True):
            run_experiment("shakespeare", folder, settings=[*settings, *more])
            expanded.append(expand(load("shakespeare", [*settings, *more])))
        variants = {
            of[0].name: Variants(*(each.experiment for each in of)) for of in zip(*expanded, strict=True)
        }
        results = compared(folders, variants)
        if given.why:
            explained(folders, next(of for name, of in variants.items() if name in (BACKPROP, ALONE)))
        if given.bricks:
            ablated(out / "bricks")
    present(results, given.json)


if __name__ == "__main__":
    main()
