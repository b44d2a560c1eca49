"""Texts and words against published rows: `precisionflow run sst2` and `ewt`, tables of docs/results.md.

The data are read through PRECISIONFLOW_DATA. Bars: accuracy on the published development part, which nothing is chosen
by; calibration error after temperature; minutes of training a seed.
"""

import statistics
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from measured import Measured, present, run_experiment, running_arguments

from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import METRICS, TABLE

MOST_ERRORS = {"sst2": 0.16, "ewt": 0.048}
"""1 - accuracy of backpropagation with the dot product. Published on SST-2 from scratch: 0.148 (LSTM)."""
MOST_ECE = 0.03
MINUTES = 20.0
SHOWN = ("accuracy", "nll", "ece", "ece_after_temperature", "nll_after_temperature")
BAR = "backprop+dot_product"
ALONE = "default"
"""What the same variant is called where the experiment has no axes."""


def cells(folder: Path, name: str, variant: str) -> Iterator[tuple[int, dict[str, float], float]]:
    """(seed, metrics, minutes of training) of every cell of a variant, all splits."""
    for model in sorted(folder.glob(f"model/{name}/*/{variant}/seed-*-split-*")):
        card = read_card(model / "model.json", ModelCard)
        evaluated = Path(str(model).replace(f"{folder}/model", f"{folder}/evaluation"))
        rows = read_parquet(evaluated / "metrics.parquet", METRICS).to_pylist()
        metrics = {row["metric"]: row["value"] for row in rows}
        yield card.seed, metrics, card.steps * card.seconds_per_step / 60


def minutes_of_seeds(found: Iterable[tuple[int, dict[str, float], float]]) -> list[float]:
    """Minutes of training of every seed, its splits together."""
    minutes: dict[int, float] = {}
    for seed, _, of in found:
        minutes[seed] = minutes.get(seed, 0.0) + of
    return list(minutes.values())


def print_markdown(folder: Path, name: str) -> None:
    """Means over seeds with half the 95 % interval, one line for each variant."""
    rows = read_parquet(folder / "aggregate" / "table.parquet", TABLE).to_pylist()
    found = {(row["variant"], row["metric"]): row for row in rows if row["experiment"] == name}
    print(f"| {name} | " + " | ".join(SHOWN) + " | minutes a seed |\n|---" + "|---" * (len(SHOWN) + 1) + "|")
    for variant in dict.fromkeys(variant for variant, _ in found):
        shown = [found[variant, metric] for metric in SHOWN]
        words = [f"{row['mean']:.4f} ± {(row['high'] - row['low']) / 2:.4f}" for row in shown]
        minutes = statistics.mean(minutes_of_seeds(cells(folder, name, variant)))
        print(f"| `{variant}` | " + " | ".join(words) + f" | {minutes:.1f} |")


def main() -> None:
    """Run both, print their tables and the bars."""
    parser = running_arguments(__doc__)
    parser.add_argument("--only", choices=sorted(MOST_ERRORS), help="one of the two")
    parser.add_argument("--alone", action="store_true", help="backpropagation with the dot product, no axes")
    given = parser.parse_args()
    variant, axes = (ALONE, ["ablation.axes={}"]) if given.alone else (BAR, [])
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in [given.only] if given.only else sorted(MOST_ERRORS):
            folder = (given.out or Path(temporary)) / name
            run_experiment(name, folder, settings=[*given.settings, *axes])
            print_markdown(folder, name)
            of = list(cells(folder, name, variant))
            errors = statistics.mean(1 - metrics["accuracy"] for _, metrics, _ in of)
            ece = statistics.mean(metrics["ece_after_temperature"] for _, metrics, _ in of)
            results += [
                Measured(f"{name}: error of the development part", errors, "", MOST_ERRORS[name]),
                Measured(f"{name}: ECE after temperature", ece, "", MOST_ECE),
                Measured(f"{name}: longest training of a seed", max(minutes_of_seeds(of)), "min", MINUTES),
            ]
    present(results, given.json)


if __name__ == "__main__":
    main()
