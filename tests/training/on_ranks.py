"""A program for torchrun: trains a tiny transformer in every way and writes the losses.

on_ranks.py FOLDER: reads FOLDER/data (prepared), keeps checkpoints in FOLDER/checkpoints, writes FOLDER/<ranks>.json.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from digits import EARLY_DIGITS, UNSTABLE
from rules_of_tests import SeveralSteps
from torch import distributed as dist
from torch import nn

from precisionflow.config import Experiment, resolve
from precisionflow.inference.predictive_coding import generative
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.results.layout import TrainedCell, cell_folder, data_folder
from precisionflow.results.lifetime import leave
from precisionflow.training import train as verb
from precisionflow.training.batches import part_batches
from precisionflow.training.divergence import DivergedError
from precisionflow.training.engines import zero
from precisionflow.training.engines.single import SingleNetwork
from precisionflow.training.population import CellOf, Single
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.learner import Learner

STEPS = 6
TRAINING: dict[str, Any] = {
    "steps": 12,
    "batch_size": 8,
    "learning_rate": 0.01,
    "validate_every": 4,
    "checkpoint_every": 5,
}
AVERAGED = TRAINING | {"average": 0.5, "accumulate": 2}
MUON = AVERAGED | {"optimiser": {"kind": "muon"}}
PREDICTIVE_CODING: dict[str, Any] = {"kind": "predictive_coding", "iterations": 3, "tolerance": 1e-4}
LEARNED_LAW = PREDICTIVE_CODING | {
    "law": {"kind": "mixture", "shape": "learned"},
    "precision": {"kind": "learned", "per": "channel", "initial": 10.0},
}
INCREMENTAL: dict[str, Any] = {
    "kind": "predictive_coding",
    "settles": "incremental",
    "precision": {"kind": "predicted", "initial": 10.0},
}
PRECISE = {"precision": {"kind": "fixed", "value": 10.0}}
BOTTOM_UP = PREDICTIVE_CODING | PRECISE | {"pathway": "bottom_up", "cut_above": [0]}
TOP_DOWN = BOTTOM_UP | {"pathway": "top_down", "precision": {"kind": "fixed", "value": 1.0}}
AMORTISED = PREDICTIVE_CODING | PRECISE | {"start": "amortised"}
BY_HEAD = AMORTISED | {"precision": {"kind": "learned", "per": "head", "initial": 10.0}}
NODES: dict[str, Any] = {
    "task": {
        "kind": "synthetic",
        "source": {"kind": "urns", "length": 6},
        "train": 64,
        "valid": 8,
        "test": 8,
    },
    "model": {
        "kind": "transformer",
        "blocks": 1,
        "heads": 2,
        "width": 8,
        "attention": {"kind": "predictive_coding", "count": 3, "causes": 32},
    },
    "learning": BY_HEAD,
}
"""Sequences of several lengths; parameters of latent nodes are read outside the layers that they belong to."""
EARLY = PREDICTIVE_CODING | PRECISE | {"iterations": 30, "tolerance": 1e-3}
"""Settling that the tolerance ends."""
SECANT = (
    PREDICTIVE_CODING
    | PRECISE
    | {
        "descent": {"kind": "secant", "per": "channel"},
        "iterations": 6,
        "tolerance": 0.0,
    }
)
BY_LAYER = PREDICTIVE_CODING | {
    "precision": {"kind": "fixed", "value": 10.0},
    "by_layer": {
        "embedding": {"law": {"kind": "student_t", "shape": "learned"}},
        "attention": {"precision": {"kind": "learned", "per": "head", "initial": 10.0}},
        "feed_forward": {"precision": {"kind": "predicted", "initial": 10.0}},
    },
}
EVERY = torch.tensor([True])
BROKEN = (
    ("stage 0", "mp_rank_00_model_states.pt", Path.unlink),
    ("stage 1", "zero_pp_rank_1_*_optim_states.pt", lambda path: os.truncate(path, path.stat().st_size // 2)),
)
"""Checkpoint, file, what happens to it."""
WATCHED = ("stage 3 predictive coding", "stage 3 early digits")
"""Cases that are trained once more from their checkpoint with a record before every step."""
ALONE = (
    *(f"stage {stage}" for stage in range(4)),
    "stage 1 several steps",
    "stage 3 learned law",
    "stage 2 incremental",
    "stage 1 by head",
    "stage 3 by head",
    "stage 0 muon in parts",
    "stage 2 averaged in parts",
    "stage 3 averaged in parts",
    "stage 3 guessed digits",
    "stage 2 modes",
)
"""Cases with which one rank goes on: every stage, rule and kind of parameter."""
RULES: dict[str, Callable[[], nn.Module]] = {"several steps": SeveralSteps}
"""End of a case's name -> the rule that learns in place of the configured one."""


class UnderRule(Single):
    """A network that learns by a rule of no configuration."""

    rule: nn.Module | None = None

    def _learner(self, ranks: Ranks) -> Learner:
        learner = super()._learner(ranks)
        if self.rule is not None:
            learner.rule = self.rule
        return learner


def engine_of(
    experiment: Experiment,
    data: Path,
    ranks: Ranks,
    resume: Path | None = None,
    *,
    rule: nn.Module | None = None,
) -> SingleNetwork:
    """The engine of seed 0, split 0; `data` is the folder of all prepared data; `rule`: in place of its own."""
    network = UnderRule(experiment, data, CellOf(0, 0))
    network.rule = rule
    engine = network.open(ranks, resume)
    assert isinstance(engine, SingleNetwork)
    valid = data_folder(data, experiment, 0) / "valid.parquet"
    engine.feed = engine.feed._replace(valid=part_batches(experiment, valid, batch_size=7))
    return engine


def curve(engine: SingleNetwork, ranks: Ranks, steps: range, *, watched: bool = False) -> list[float]:
    """Losses of some steps and then of a validation; `watched`: with a record before every step."""
    means = []
    for step in steps:
        if watched:
            engine.monitored(step)
            engine.attended(step)
        loss, _ = engine.step(engine.feed.batch(step), step)
        means.append(float(ranks.sum(loss.double().clone()) / ranks.count))
    return [*means, float(engine.validate(EVERY))]


def of_every_rank(value: object, ranks: Ranks) -> list[Any]:
    found = [None] * ranks.count
    dist.all_gather_object(found, value)
    return found


def looked_into(engine: SingleNetwork, ranks: Ranks) -> dict[str, Any]:
    """What is seen of settling and attention after all steps, and the iterations of every rank."""
    (seen,) = engine.monitored(STEPS) or [None]
    (rows,) = engine.attended(STEPS) or [[]]
    settling = (
        {"seen": list(seen.entries(STEPS)), "iterations": of_every_rank(seen.iterations, ranks)}
        if seen
        else {}
    )
    return {"attended": [[*row] for row in rows], **settling}


@contextlib.contextmanager
def counting_steps() -> Iterator[list[int]]:
    """Steps that images take to settle while nothing is learned, one number a batch."""
    found: list[int] = []
    real = generative.settle

    def counted(*arguments: Any, **named: Any) -> Any:
        settled = real(*arguments, **named)
        found.append(settled.steps)
        return settled

    generative.settle = counted
    try:
        yield found
    finally:
        generative.settle = real


def told_unsettled(act: Callable[[], object]) -> str:
    """What Unsettled says of an act."""
    try:
        act()
    except Unsettled as error:
        return str(error)
    return ""


def met(ranks: Ranks, own: Unsettled | None) -> list[Any]:
    """What agreement on this rank's own error, if it has one, raises: text, whether it is that error, cause."""
    try:
        with ranks.agreed(Unsettled):
            if own is not None:
                raise own
    except Unsettled as error:
        return [str(error), error is own, str(error.__cause__)]
    return []


def summed(ranks: Ranks) -> list[float]:
    """Numbers and their sum over ranks."""
    values = torch.tensor([1.0 + ranks.index, 2.0])
    total = ranks.sum(values)
    return [*values.tolist(), *total.tolist()]


def failing_cell(tree: dict[str, Any], folder: Path, ranks: Ranks) -> dict[str, Any]:
    """The stage `train` of two cells, the first of which cannot settle, beside one of the second cell alone.

    Modules that DeepSpeed takes for those whose forward pass runs are counted after each.
    """
    from deepspeed.runtime.zero.parameter_offload import FWD_MODULE_STACK

    of_ranks = {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": 3}, "seeds": [0, 1]}
    both, unstable = resolve(tree | EARLY_DIGITS | of_ranks), resolve(tree | UNSTABLE | of_ranks)
    real_group, real_population = verb._process_group, verb.population

    def population_of(experiment: Experiment, data: Path, cells: list[CellOf]) -> Any:
        return real_population(unstable if cells[0].seed == 0 else experiment, data, cells)

    told: list[Any] = []
    running, weights = [], []
    verb._process_group = lambda *_: contextlib.nullcontext(ranks)  # type: ignore[assignment]
    verb.population = population_of  # type: ignore[assignment]
    try:
        for experiment, out in (
            (resolve(tree | EARLY_DIGITS | of_ranks | {"seeds": [1]}), "one"),
            (both, "two"),
        ):
            verb.train(experiment, data=folder / "data", out=folder / out, failed=lambda *of: told.append(of))
            running.append(len(FWD_MODULE_STACK))
            ranks.barrier()
            weights.append(TrainedCell(cell_folder(folder / out, 1, 0)).weights.read_bytes().hex())
    finally:
        verb._process_group, verb.population = real_group, real_population
    return {"failed cell": told, "running modules": running, "weights beside a failed cell": weights}


def cold(experiment: Experiment) -> Experiment:
    """At a temperature by which every log potential overflows."""
    attention = experiment.model.attention.model_copy(update={"temperature": 1e-50})
    return experiment.model_copy(
        update={"model": experiment.model.model_copy(update={"attention": attention})}
    )


def diverging(tree: dict[str, Any], folder: Path, ranks: Ranks) -> dict[str, Any]:
    """What every rank is told of an attention so cold, as no file can ask for it, that no first loss is finite."""
    told: dict[str, Any] = {}
    real = verb._process_group
    verb._process_group = lambda *_: contextlib.nullcontext(ranks)  # type: ignore[assignment]
    try:
        for stage, stages in ((1, 1), (3, 1), (0, 2)):
            of_ranks = {"kind": "deepspeed", "ranks": 2, "zero_stage": stage, "pipeline_stages": stages}
            experiment = cold(resolve(tree | {"engine": of_ranks}))
            try:
                verb.train(experiment, data=folder / "data", out=folder / f"cold {stage}")
            except DivergedError as error:
                told[f"diverged {stage}"] = of_every_rank(str(error), ranks)
    finally:
        verb._process_group = real
    return told


def agreements(tree: dict[str, Any], data: Path, ranks: Ranks) -> dict[str, Any]:
    """Case -> what every rank is told of what one of them, or all, met."""
    found: dict[str, Any] = {
        "words": [ranks.first_told(of[ranks.index]) for of in (("", "zwei ü"), ("one", "two"), ("", ""))],
        "greatest": ranks.greatest(5 - 2 * ranks.index),
        "nothing said": met(ranks, Unsettled("") if ranks.index == 1 else None),
        "one error": met(ranks, Unsettled("rose") if ranks.index == 1 else None),
        "two errors": met(ranks, Unsettled(f"rose on {ranks.index}")),
        "no error": met(ranks, None),
        "summed": summed(ranks),
    }
    for stage in (1, 3):
        of_ranks = {"engine": {"kind": "deepspeed", "ranks": 2, "zero_stage": stage}}
        engine = engine_of(resolve(tree | UNSTABLE | of_ranks), data, ranks)
        found[f"stage {stage} lesson"] = told_unsettled(partial(engine.step, engine.feed.batch(0), 0))
        engine.close()
        experiment = resolve(tree | EARLY_DIGITS | of_ranks)
        engine = engine_of(experiment, data, ranks)
        engine.step(engine.feed.batch(0), 0)
        with counting_steps() as steps:
            engine.validate(EVERY)
        found[f"stage {stage} steps of validation"] = steps
        if ranks.index == 1:
            engine.network.learning = resolve(tree | UNSTABLE).learning  # type: ignore[assignment]
        found[f"stage {stage} validation"] = told_unsettled(partial(engine.validate, EVERY))
        engine.close()
    return {f"agreed {case}": of_every_rank(of, ranks) for case, of in found.items()}


def refusal(checkpoint: Path, file: str, damage: Callable[[Path], None], *start: Any) -> str:
    """The error of an engine that resumes from a checkpoint whose `file` is damaged."""
    (path,) = checkpoint.glob(f"state/{file}")
    damage(path)
    try:
        engine_of(*start, resume=checkpoint)
    except ValueError as error:
        return str(error)
    return "no refusal"


def main(folder: Path) -> None:
    ranks = Ranks.of_process(torch.device("cpu"))
    zero.load()
    zero.LEAST_SHARE = 1  # buffers are far smaller than the network, as with large ones
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    tree = json.loads((folder / "experiment.json").read_text())
    cases = json.loads((folder / "cases.json").read_text())
    results: dict[str, Any] = {}
    for name, changes in cases.items():
        experiment = resolve(tree | changes)
        data = folder / "data"
        checkpoint = folder / "checkpoints" / name

        def rule(name: str = name) -> nn.Module | None:
            return next((of() for ending, of in RULES.items() if name.endswith(ending)), None)

        if ranks.count == experiment.engine.ranks:
            engine = engine_of(experiment, data, ranks, rule=rule())
            results[name] = curve(engine, ranks, range(STEPS // 2))[:-1]
            if ranks.first:
                checkpoint.mkdir(parents=True)
            ranks.barrier()
            engine.save(checkpoint)
            results[name] += curve(engine, ranks, range(STEPS // 2, STEPS))
            if experiment.engine.pipeline_stages == 1:
                results |= {f"{name} {of}": found for of, found in looked_into(engine, ranks).items()}
            weights = engine.whole_weights()
            if experiment.engine.zero_stage:
                results[f"{name} bucket"] = [engine.engine.optimizer.reduce_bucket_size]
            results[f"{name} weight"] = [float(sum(w.double().abs().sum() for w in weights.values()))]
            engine.close()
        if experiment.engine.pipeline_stages > ranks.count or (ranks.count == 1 and name not in ALONE):
            continue
        engine = engine_of(experiment, data, ranks, resume=checkpoint, rule=rule())
        results[f"{name} resumed"] = curve(engine, ranks, range(STEPS // 2, STEPS))
        engine.close()
        if name in WATCHED:
            engine = engine_of(experiment, data, ranks, resume=checkpoint)
            results[f"{name} watched"] = curve(engine, ranks, range(STEPS // 2, STEPS), watched=True)
            engine.close()
    if ranks.count == 2:
        results |= agreements(tree, folder / "data", ranks) | failing_cell(tree, folder, ranks)
        results |= diverging(tree, folder, ranks)
    if ranks.count == 1:
        data = folder / "data"
        results["refused"] = [
            refusal(folder / "checkpoints" / name, file, damage, resolve(tree | cases[name]), data, ranks)
            for name, file, damage in BROKEN
        ]
    results["unused modules"] = sorted({"mlflow", "torch._inductor.compile_fx"} & sys.modules.keys())
    if ranks.first:
        (folder / f"{ranks.count}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ["DS_ACCELERATOR"] = "cpu"
    main(Path(sys.argv[1]))
    leave()
