"""WikiText-2: `precisionflow run wikitext2` against an interpolated Kneser-Ney 3-gram of the same training text.

Both predict the published validation text, which is the experiment's test part, from the same words with the same <unk>
and <eos>; the data are read through PRECISIONFLOW_DATA. The 3-gram learns from the experiment's training part, and once
more from that and its validation part, which is the whole published training text. Its probabilities of all words are
summed for sampled histories before it is used.
"""

import tempfile
from pathlib import Path

import numpy as np
from kneser_ney import KneserNey, kneser_ney
from measured import Measured, present, run_experiment, running_arguments

from precisionflow.config import Experiment, load
from precisionflow.data.batches import TokenWindows
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import EvaluatedCell, PreparedSplit, Results, cell_folder, data_folder

MINUTES = 40.0
TOLERANCE = 1e-9
"""How far from 1 the probabilities of all words after a history may sum."""


def check_normalised(model: KneserNey, text: np.ndarray, *, histories: int = 50) -> float:
    """Largest distance from 1 of the summed probabilities, after histories of the text and after unseen ones.

    AssertionError where it is above the tolerance.
    """
    random, every = np.random.default_rng(0), np.arange(model.vocabulary)
    starts = random.integers(0, len(text) - 1, histories)
    pairs = [
        *zip(text[starts], text[starts + 1], strict=True),
        *random.integers(0, len(every), (histories, 2)),
    ]
    sums = [
        model.probabilities(np.full_like(every, a), np.full_like(every, b), every).sum() for a, b in pairs
    ]
    worst = float(np.abs(np.array(sums) - 1).max())
    assert worst < TOLERANCE, f"probabilities of all words sum to 1 up to {worst}"
    return worst


def of_kneser_ney(experiment: Experiment, results: Results) -> list[Measured]:
    """Perplexity of the 3-gram on the test part."""
    prepared = PreparedSplit(data_folder(results.data, experiment, 0))
    vocabulary = read_card(prepared.card, DatasetCard).known.ids
    train, valid, test = (TokenWindows.read(prepared.part(part)).ids for part in ("train", "valid", "test"))
    measured = []
    for named, text in (
        ("the training part", train),
        ("training and validation part", np.concatenate([train, valid])),
    ):
        model = kneser_ney(text, vocabulary)
        worst = check_normalised(model, text)
        perplexity = float(np.exp(-model.log_probabilities(test).mean()))
        measured += [
            Measured(f"perplexity of the 3-gram of {named}", perplexity, "1"),
            Measured(f"sum of its probabilities less 1, of {named}", worst, "1", bar=TOLERANCE),
        ]
    return measured


def of_experiment(experiment: Experiment, results: Results) -> list[float]:
    """Test perplexity of each seed."""
    folder, perplexities = results.evaluation(experiment), []
    for seed in experiment.seeds:
        table = read_parquet(EvaluatedCell(cell_folder(folder, seed, 0)).metrics, METRICS).to_pylist()
        perplexities.append(next(row["value"] for row in table if row["metric"] == "perplexity"))
    return perplexities


def main() -> None:
    """Run the experiment and the 3-gram."""
    parser = running_arguments(__doc__)
    given = parser.parse_args()
    experiment = load("wikitext2", given.settings)
    with tempfile.TemporaryDirectory() as temporary:
        results = Results(given.out or Path(temporary))
        minutes = run_experiment("wikitext2", results.folder, settings=given.settings)
        of_grams, own = of_kneser_ney(experiment, results), of_experiment(experiment, results)
    best = min(one.value for one in of_grams if one.measure.startswith("perplexity"))
    found = [
        Measured(f"perplexity, seed {seed}", value, "1", bar=best)
        for seed, value in zip(experiment.seeds, own, strict=True)
    ]
    per_seed = minutes / len(experiment.seeds)
    found.append(Measured("wall time of the run for each seed", per_seed, "min", bar=MINUTES))
    present([*of_grams, *found], given.json)


if __name__ == "__main__":
    main()
