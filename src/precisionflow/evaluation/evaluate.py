"""The `evaluate` stage: predictions and metrics of every cell of a variant on its test rows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from precisionflow.config import Experiment
from precisionflow.evaluation.classes import HoldsOut, StatedTargets
from precisionflow.evaluation.metrics import metrics_table
from precisionflow.evaluation.predictor import Predictor, load_predictor
from precisionflow.evaluation.where import named_cell
from precisionflow.records.cards import CostCard, DatasetCard
from precisionflow.records.files import read_card, write_card, write_parquet
from precisionflow.records.recalibration import RecalibrationCard
from precisionflow.records.schemas import ATTENTION, BINS, CLASSES, CONFUSIONS, EDGES, FIT, IMAGES, METRICS
from precisionflow.results.cells import evaluation_inputs, splits_beside
from precisionflow.results.code import Verb
from precisionflow.results.failures import failure_of, write_failure
from precisionflow.results.identity import training_identity
from precisionflow.results.layout import (
    EvaluatedCell,
    PreparedSplit,
    cell_folder,
    data_folder,
    failure_file,
)
from precisionflow.results.stage import input_key, input_marker, once
from precisionflow.training.device import pick_device

VERB: Verb = "evaluate"


def evaluate(
    experiment: Experiment,
    *,
    data: Path,
    model: Path,
    out: Path,
    report: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
    failed: Callable[[int, int, str], None] | None = None,
) -> None:
    """Score every (seed, split) of a resolved experiment; `report` gets (seed, split, metrics) of each new cell.

    A cell whose training failed has failed. What scoring raises ends the stage; with `failed`, which gets (seed,
    split, cause), it becomes the cell's result, but for errors of files. ValueError when a model is not finished or
    was trained as another configuration says.
    """
    for split in experiment.splits:
        folder = data_folder(data, experiment, split)
        for seed in experiment.seeds:
            trained = cell_folder(model, seed, split)
            beside = [
                (data_folder(data, experiment, other), cell_folder(model, seed, other))
                for other in splits_beside(experiment, split)
            ]
            inputs = evaluation_inputs(experiment, data=data, model=model, seed=seed, split=split)

            def work(
                target: Path,
                *,
                source: Path = folder,
                weights: Path = trained,
                others: Sequence[tuple[Path, Path]] = tuple(beside),
                cell: tuple[int, int] = (seed, split),
            ) -> None:
                if failure := failure_of(weights):
                    write_card(failure, failure_file(target))
                    return
                try:
                    found = _evaluate_cell(
                        experiment, source, weights, target, others=others, seed=cell[0], split=cell[1]
                    )
                except Exception as error:
                    if failed is None or isinstance(error, OSError):
                        raise
                    for file in target.iterdir():
                        file.unlink()
                    write_failure(
                        target, experiment, seed=cell[0], split=cell[1], stage="evaluate", error=error
                    )
                    failed(*cell, str(error))
                else:
                    report(*cell, found)

            once(cell_folder(out, seed, split), verb=VERB, inputs=inputs, work=work)


def _evaluate_cell(
    experiment: Experiment,
    data: Path,
    model: Path,
    out: Path,
    *,
    others: Sequence[tuple[Path, Path]],
    seed: int,
    split: int,
) -> dict[str, float]:
    prepared = read_card(PreparedSplit(data).card, DatasetCard)
    predictor, files = _trained(experiment, prepared, model, seed=seed), EvaluatedCell(out)
    card = predictor.experiment_card
    if others:
        assert isinstance(predictor, HoldsOut), "the configuration asks for classes"
        beside = [_held_out(experiment, *other, seed=seed) for other in others]
        scored = predictor.score(experiment, data, beside=beside)
    else:
        scored = predictor.score(experiment, data)
    write_parquet(scored.predictions, files.predictions, scored.schema)
    if scored.fit is not None:
        write_parquet(scored.fit, files.fit, FIT)
    if scored.classes is not None and scored.confusions is not None:
        write_parquet(scored.classes, files.classes, CLASSES)
        write_parquet(scored.confusions, files.confusions, CONFUSIONS)
    if scored.images is not None:
        write_parquet(scored.images, files.images, IMAGES)
    if scored.attention is not None and scored.edges is not None:
        write_parquet(scored.attention, files.attention, ATTENTION)
        write_parquet(scored.edges, files.edges, EDGES)
    if scored.bins is not None:
        write_parquet(named_cell(scored.bins, experiment, seed=seed, split=split), files.bins, BINS)
    if scored.recalibrations:
        write_card(RecalibrationCard(model=input_key(model), fits=scored.recalibrations), files.recalibration)
    write_card(CostCard(**card.model_dump(include=set(CostCard.model_fields))), files.cost)
    loss = card.validation_loss
    values = scored.metrics | ({} if loss is None else {"validation_loss": loss})
    table = metrics_table(
        values,
        scored.chance,
        experiment=experiment,
        seed=seed,
        split=split,
        n=scored.predictions.num_rows,
        n_train=prepared.rows["train"] + prepared.rows["valid"],
        test=input_marker(data).files.get(PreparedSplit(data).part("test").name, ""),
    )
    write_parquet(table, files.metrics, METRICS)
    return values


def _trained(experiment: Experiment, prepared: DatasetCard, model: Path, *, seed: int) -> Predictor:
    """The predictor of a cell; ValueError where it was trained as another configuration says."""
    predictor = load_predictor(model, prepared, device=pick_device(experiment.engine))
    card = predictor.experiment_card
    if (_taught(card.experiment), card.seed) != (_taught(experiment), seed):
        raise ValueError(
            f"{model}: was trained as variant {card.experiment.variant} with seed {card.seed}, not as this experiment "
            "says; give the folder of its own model or train again"
        )
    return predictor


def _held_out(experiment: Experiment, data: Path, model: Path, *, seed: int) -> StatedTargets:
    """What the network of another split states of its validation targets; ValueError where its training failed."""
    if failure_of(model):
        raise ValueError(
            f"evaluation.held_out: all_splits needs the network of {model}, whose training failed; mend it, or leave "
            "its split or held_out out"
        )
    predictor = _trained(experiment, read_card(PreparedSplit(data).card, DatasetCard), model, seed=seed)
    assert isinstance(predictor, HoldsOut), "the configuration asks for classes"
    return predictor.held_out(experiment, data)


def _taught(experiment: Experiment) -> dict[str, Any]:
    """Identity of a network's weights without the engine, which changes them by rounding only."""
    return {key: value for key, value in training_identity(experiment).items() if key != "engine"}
