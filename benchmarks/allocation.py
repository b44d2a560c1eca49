"""Token allocation: time and exactness of a budget, utility over other rules, ln Z, sequences in micro-batches.

With --out also the experiments.
"""

import time
from pathlib import Path

import numpy as np
import torch
from measured import Measured, arguments, present, run_experiment, with_interval

from precisionflow.ablation.design import expand
from precisionflow.config import load
from precisionflow.inference.allocation.budget import USUAL, rounded, whole
from precisionflow.inference.allocation.encoders import Sequences
from precisionflow.inference.allocation.posterior import complexity, exact, levels, potentials, priced
from precisionflow.inference.allocation.shares import ranked
from precisionflow.inference.allocation.utility import Utility
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import EvaluatedCell, Results, cell_folder

PATCHES, MEAN, DRAWS, REPEATS = 10_000, 150, 5, 30
"""Patches of an image, their mean tokens, independent utilities, calls of which the fastest counts."""
FEWER = 128
"""Mean tokens beside weights that differ less."""
IMAGES, LENGTHS, STEPS = 32, (1, 4, 8, 16), 11
"""Images of a step, lengths of micro-batches, steps of which the median counts."""
GAIN = 1.10
"""Utility over that of uniform shares, at least."""
OTHERS = ("uniform", "top_k", "random", "softmax", "refine", "oracle")


def drawn(seed: int, patches: int, *, spread: float = 1.0, ratio: float = 1 / 50) -> Utility:
    """Lognormal weights, and ratios about `ratio`; `spread` is the standard deviation of ln w."""
    random = np.random.default_rng(seed)
    weights, ratios = (np.exp(of * random.standard_normal(patches)) for of in (spread, 1.0))
    return Utility(torch.from_numpy(weights), torch.from_numpy(ratio * ratios))


def budgets() -> list[Measured]:
    """Of many patches: time, what is left of the budget, utility over other rules."""
    budget, bounds = PATCHES * MEAN, USUAL
    seconds, left = [], 0
    over: dict[str, list[float]] = {"uniform": [], "top_k": []}
    alike_weights = []
    for seed in range(DRAWS):
        utility = drawn(seed, PATCHES)
        for _ in range(REPEATS):
            start = time.perf_counter()
            tokens = whole(utility, budget)
            seconds.append(time.perf_counter() - start)
        left = max(left, abs(int(tokens.sum()) - budget))
        ours = float(utility.total(tokens.double()))
        alike = rounded(torch.full_like(utility.weight, MEAN), budget)
        for name, other in (("uniform", alike), ("top_k", ranked(utility.weight, budget, bounds))):
            over[name].append(float(utility.total(other.double())) / ours)
        flat, fewer = drawn(seed, PATCHES, spread=0.5, ratio=1 / 100), PATCHES * FEWER
        by_rank, best = ranked(flat.weight, fewer, bounds), whole(flat, fewer)
        alike_weights.append(float(flat.total(by_rank.double())) / float(flat.total(best.double())))
    return [
        Measured(f"{PATCHES:,} patches, whole tokens", 1e3 * min(seconds), "ms", bar=2.0),
        Measured("tokens off the budget", left, "tokens", bar=0.0),
        *with_interval("utility of uniform shares over ours", over["uniform"], "1", bar=1 / GAIN),
        *with_interval("utility of top-k over ours", over["top_k"], "1", bar=1.0),
        *with_interval("utility of top-k over ours, weights less apart", alike_weights, "1", bar=1.0),
    ]


def normaliser() -> list[Measured]:
    """ln Z of 64 patches by a saddle point and by the dual, against exact sums."""
    at, budget = levels(), 64 * MEAN
    saddle, dual = [], []
    for seed in range(DRAWS):
        given = potentials(drawn(seed, 64), at)
        found, true = priced(given, budget, at), float(exact(given, budget, at).log_normaliser)
        saddle.append(abs(float(found.log_normaliser) - true))
        dual.append(float(found.dual) - true)
    return [
        Measured("ln Z by the saddle point, largest error", max(saddle), "nats", bar=1e-3),
        *with_interval("ln Z by the dual, above exact", dual, "nats"),
    ]


def recursive(given: torch.Tensor, steps: int) -> tuple[float, float]:
    """ln Z and E[sum u] of allocations of so many steps above the fewest tokens, adding one patch after the other."""
    logs, expected = np.full(steps + 1, -np.inf), np.zeros(steps + 1)
    logs[0] = 0
    for row in given.numpy():
        joint, nats = (np.full((len(row), steps + 1), of) for of in (-np.inf, 0.0))
        for k, value in enumerate(row[: steps + 1]):
            joint[k, k:] = logs[: steps + 1 - k] + value
            nats[k, k:] = expected[: steps + 1 - k] + value
        logs = np.logaddexp.reduce(joint)
        expected = (np.exp(joint - np.maximum(logs, -1e300)) * nats).sum(0)
    return float(logs[-1]), float(expected[-1])


def divergence() -> list[Measured]:
    """KL of the allocation from all alike, as readers are taught it, against the recursion."""
    at, rows = levels(grain=14), []
    for patches, steps in ((9, 24), (1000, 2700)):
        wrong, budget = [], 64 * patches + 14 * steps
        for seed in range(DRAWS):
            weight, ratio = drawn(seed, patches)
            given = potentials(Utility(20 * weight, ratio), at)
            found = priced(given, budget, at)
            flat = priced(torch.zeros_like(given), budget, at)
            log_chance, expected = recursive(found.log_probabilities, steps)
            log_every = recursive(flat.log_probabilities, steps)[0] + float(flat.dual)
            true = expected - log_chance + log_every
            wrong.append(abs(float(complexity(given, found, budget, at)) - true))
        rows.append(
            Measured(f"complexity of {patches:,} patches, largest error", max(wrong), "nats", bar=1e-8)
        )
    return rows


def in_micro_batches() -> list[Measured]:
    """Encoding of sequences, forward and backward, in micro-batches of few lengths over one length for all.

    Tokens are those of the largest utility at the usual budget and bounds; losses and gradients have to agree.
    """
    torch.manual_seed(0)
    shape = (IMAGES, 9)
    utility = Utility(*(of.float().view(shape) for of in drawn(0, IMAGES * 9)))
    tokens = whole(utility, 912, USUAL)
    pixels, rows = torch.rand(*shape, 3, 400), []
    models = {of: Sequences(20, 64, width=64, lengths=of) for of in LENGTHS}
    for model in models.values():
        model.load_state_dict(models[1].state_dict())
    seconds: dict[int, list[float]] = {of: [] for of in LENGTHS}
    taught = {}
    for _ in range(STEPS):
        for of, model in models.items():
            model.zero_grad()
            start = time.process_time()
            loss = model(pixels, tokens.float()).square().sum()
            loss.backward()
            seconds[of].append(time.process_time() - start)
            gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
            taught[of] = torch.cat([loss.detach()[None], *gradients])
    whole_tokens = int(tokens.sum())
    for of, model in models.items():
        padding = model.cells(tokens) / whole_tokens - 1
        rows.append(Measured(f"{of} lengths: padding over tokens", padding, "1"))
        if of > 1:
            ratio = np.median(seconds[of]) / np.median(seconds[1])
            apart = float((taught[of] - taught[1]).norm() / taught[1].norm())
            rows.append(Measured(f"{of} lengths: CPU time over that of one", float(ratio), "1", bar=1.0))
            rows.append(Measured(f"{of} lengths: loss and gradients off", apart, "1", bar=1e-5))
    return rows


def of_cells(name: str, folder: Path, metric: str) -> dict[tuple[str, str], np.ndarray]:
    """(data set, variant) -> the metric of every seed."""
    results, found = Results(folder), {}
    for variant in expand(load(name)):
        evaluation = results.evaluation(variant.experiment)
        values = []
        for seed in variant.experiment.seeds:
            table = read_parquet(EvaluatedCell(cell_folder(evaluation, seed, 0)).metrics, METRICS)
            values += [row["value"] for row in table.to_pylist() if row["metric"] == metric]
        found[variant.dataset, variant.name] = np.array(values)
    return found


def experiments(folder: Path) -> list[Measured]:
    """The shipped experiments: differences of precision from every other way, paired by seed."""
    minutes = run_experiment("allocation", folder / "images")
    accuracy = of_cells("allocation", folder / "images", "accuracy")
    rows, better = [Measured("experiment allocation", minutes, "min")], 0
    for dataset in dict.fromkeys(of for of, _ in accuracy):
        ours, wins = accuracy[dataset, "precision"], 0
        rows += with_interval(f"{dataset}: accuracy, precision", list(ours), "1")
        for other in OTHERS:
            found = with_interval(
                f"{dataset}: precision over {other}", list(ours - accuracy[dataset, other]), "1"
            )
            rows += found
            wins += other in ("uniform", "top_k") and found[0].value > found[1].value
        better += wins == 2
    rows.append(Measured("image tasks not better than uniform and top-k", 3 - better, "tasks", bar=1.0))
    minutes = run_experiment("video-allocation", folder / "videos")
    rows.append(Measured("experiment video-allocation", minutes, "min"))
    worth = of_cells("video-allocation", folder / "videos", "net_utility")
    for dataset in dict.fromkeys(of for of, _ in worth):
        ahead = worth[dataset, "horizon_5"]
        rows += with_interval(f"{dataset}: net utility, horizon 5", list(ahead), "nats")
        for other in ("frame_by_frame", "change_counted", "told_5"):
            rows += with_interval(
                f"{dataset}: horizon 5 over {other}", list(ahead - worth[dataset, other]), "nats"
            )
    return rows


def main() -> None:
    """Without --out the experiments are left out."""
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, help="results folder of the experiments; finished stages stay")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [*budgets(), *normaliser(), *divergence(), *in_micro_batches()]
    if given.out:
        rows += experiments(given.out)
    present(rows, given.json)


if __name__ == "__main__":
    main()
