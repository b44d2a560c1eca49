"""The `evaluate` stage: predictions and metrics of every cell of a variant on its test rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from precisionflow.config import Experiment
from precisionflow.config.tasks import Characters, Regression
from precisionflow.evaluation.columns import Rows
from precisionflow.evaluation.distribution import Distribution
from precisionflow.evaluation.fit import fitted_curve
from precisionflow.evaluation.metrics import metrics_table, regression_metrics
from precisionflow.evaluation.predictions import predictions_table
from precisionflow.evaluation.predictor import Predictor
from precisionflow.evaluation.recalibration.recalibrated import held_out, recalibrated_metrics
from precisionflow.evaluation.tasks.characters import score_text
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet, write_parquet
from precisionflow.records.schemas import FIT, METRICS, PREDICTIONS, REGRESSION_ROWS, TOKEN_PREDICTIONS
from precisionflow.results.cells import evaluation_inputs
from precisionflow.results.identity import training_identity
from precisionflow.results.layout import EvaluatedCell, PreparedSplit, cell_folder, data_folder
from precisionflow.results.stage import once
from precisionflow.training.batches import part_batches
from precisionflow.training.device import pick_device

VERB = "evaluate"


def evaluate(
    experiment: Experiment,
    *,
    data: Path,
    model: Path,
    out: Path,
    report: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
) -> None:
    """Score every (seed, split) of a resolved experiment; `report` gets (seed, split, metrics) of each new cell.

    ValueError when a model is not finished or was trained as another configuration says.
    """
    for split in experiment.splits:
        folder = data_folder(data, experiment, split)
        for seed in experiment.seeds:
            trained = cell_folder(model, seed, split)
            inputs = evaluation_inputs(experiment, data=data, model=model, seed=seed, split=split)

            def work(
                target: Path,
                *,
                source: Path = folder,
                weights: Path = trained,
                cell: tuple[int, int] = (seed, split),
            ) -> None:
                report(
                    *cell, _evaluate_cell(experiment, source, weights, target, seed=cell[0], split=cell[1])
                )

            once(cell_folder(out, seed, split), verb=VERB, inputs=inputs, work=work)


def _evaluate_cell(
    experiment: Experiment, data: Path, model: Path, out: Path, *, seed: int, split: int
) -> dict[str, float]:
    predictor = Predictor.load(
        model, read_card(PreparedSplit(data).card, DatasetCard), device=pick_device(experiment.engine)
    )
    card = predictor.experiment_card
    if (_taught(card.experiment), card.seed) != (_taught(experiment), seed):
        raise ValueError(
            f"{model}: was trained as variant {card.experiment.variant} with seed {card.seed}, not as this experiment "
            "says; give the folder of its own model or train again"
        )
    match experiment.task:
        case Regression():
            row, target = rows_of(predictor, PreparedSplit(data).part("test"))
            predicted = predictions(predictor, PreparedSplit(data).part("test"))
            table = predictions_table(predicted, row=row, target=target)
            write_parquet(table, EvaluatedCell(out).predictions, PREDICTIONS)
            if (curve := fitted_curve(predictor, data)) is not None:
                write_parquet(curve, EvaluatedCell(out).fit, FIT)
            levels = experiment.evaluation.levels
            methods = [m for m in experiment.evaluation.recalibration if m != "temperature"]
            values = regression_metrics(predicted, target, levels=levels)
            if methods:
                held = held_out(predictor, data)
                values |= recalibrated_metrics(held, predicted, target, methods=methods, levels=levels)
        case Characters():
            scored, after = score_text(predictor, experiment, data)
            table = scored.table
            write_parquet(table, EvaluatedCell(out).predictions, TOKEN_PREDICTIONS)
            values = scored.metrics | after
        case _:
            assert_never(experiment.task)
    values |= {"validation_loss": card.validation_loss}
    metrics = metrics_table(values, experiment=experiment, seed=seed, split=split, n=table.num_rows)
    write_parquet(metrics, EvaluatedCell(out).metrics, METRICS)
    return values


def _taught(experiment: Experiment) -> dict[str, Any]:
    """What determines a network's weights, but for the engine, which may differ by rounding only."""
    return {key: value for key, value in training_identity(experiment).items() if key != "engine"}


def predictions(predictor: Predictor, file: Path) -> Distribution:
    """The prediction for each row of a part, in the target's own units."""
    (batch,) = part_batches(predictor.experiment_card.experiment, file)
    return predictor.standardised(batch.inputs)


def rows_of(predictor: Predictor, file: Path) -> tuple[np.ndarray, Rows]:
    """Index in the source and target, in its own units, of each row of a part."""
    scales = predictor.data_card.standardisation
    assert scales is not None
    rows = read_parquet(file, REGRESSION_ROWS)
    return rows["row"].to_numpy(), scales.restore_target(rows["target"].to_numpy())
