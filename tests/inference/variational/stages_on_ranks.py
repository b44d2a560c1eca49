"""A rank that holds some stages of a chain: infers, and writes what it knows. stages_on_ranks.py FOLDER RANK RANKS."""

import json
import sys
from pathlib import Path

import torch
from torch import distributed as dist

from precisionflow.inference.allocation.stages import Stages, chain
from precisionflow.inference.variational.factors import Beliefs
from precisionflow.inference.variational.staged import Exchange, infer_staged
from precisionflow.inference.variational.updates import Inferred
from precisionflow.training.ranks import Ranks

GAINS, PRECISIONS, READING = (1.0, 0.8, -1.2, 0.9), (1.0, 30.0, 4.0, 100.0), 50.0
PERIODS = (1, 3)


def drawn(samples: int = 60, channels: int = 5, reading: float = READING) -> Stages:
    """Two stages of an encoder and two of a decoder, whose states follow from these precisions."""
    random = torch.Generator().manual_seed(0)

    def noise() -> torch.Tensor:
        return torch.randn(samples, channels, dtype=torch.float64, generator=random)

    given = state = noise()
    readings = []
    for gain, precision in zip(GAINS, PRECISIONS, strict=True):
        state = gain * state + noise() / precision**0.5
        readings.append(state + noise() / reading**0.5)
    return chain(given, readings, gains=GAINS, reading=reading)


def numbers(stages: Stages, found: Inferred) -> list[float]:
    """Natural parameters of all beliefs."""
    variables = [variable for part in stages.parts for variable in part]
    return [number for x in variables for part in found[x].natural for number in part.flatten().tolist()]


def over_ranks(stages: Stages, ranks: Ranks) -> Exchange:
    """Every rank gives the beliefs about its own stages to all."""

    def exchange(own: Beliefs) -> Beliefs:
        mine = {variable.name: belief.natural for variable, belief in own.items()}
        every: list[dict] = [{}] * ranks.count
        dist.all_gather_object(every, mine)
        naturals = {name: natural for of in every for name, natural in of.items()}
        return {variable: variable.family(naturals[variable.name]) for variable in stages.model.variables}

    return exchange


def main(folder: Path, ranks: Ranks) -> None:
    """Every period, with the stages of this rank alone."""
    results = {}
    for period in PERIODS:
        stages = drawn()
        held = range(ranks.index, len(GAINS), ranks.count)
        exchange = over_ranks(stages, ranks) if ranks.count > 1 else dict
        found = infer_staged(
            stages.model, stages.parts, period=period, step=0.5, held=held, exchange=exchange, exchanges=40
        )
        results[str(period)] = {
            "free_energies": found.free_energies,
            "beliefs": numbers(stages, found),
        }
    (folder / f"{ranks.index}_of_{ranks.count}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    place, rank, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=count)
    main(place, Ranks(rank, count))
    dist.destroy_process_group()
