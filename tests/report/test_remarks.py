"""Which trainings are named."""

from precisionflow.config import overlay, resolve
from precisionflow.records.cards import ModelCard
from precisionflow.report.remarks import remarks
from tests.synthetic import regression


def runs(*steps: int, planned: int = 400, **training: object) -> list[ModelCard]:
    changes = {"training.patience": 5} | {f"training.{name}": value for name, value in training.items()}
    experiment = resolve(overlay(regression().model_dump(mode="json"), changes))
    numbers = {"seed": 0, "parameters": 1, "batch_size": 8, "validation_loss": 1.0, "seconds_per_step": 1.0}
    return [
        ModelCard(
            experiment=experiment,
            experiment_hash="0",
            code_version="0",
            source_sha256="0",
            split=split,
            steps=of,
            planned_steps=planned,
            **numbers,
        )
        for split, of in enumerate(steps)
    ]


def test_runs_that_stopped_far_before_the_others_are_named() -> None:
    (said,) = remarks({"plain": runs(300, 310, 60, 290, 147, 300), "other": runs(300, 200, 290)})
    assert said.startswith(
        "plain: 2 of 6 runs stopped far before the others (seed 0 split 2 at step 60, seed 0 split 4 at step 147; "
    )


def test_runs_that_the_limit_ended_are_counted() -> None:
    (said,) = remarks({"plain": runs(400, 310, 400)})
    assert said.startswith("plain: 2 of 3 runs came to the limit of 400 steps before early stopping")


def test_a_planned_end_is_nothing_to_look_at() -> None:
    assert remarks({"a": runs(400, 400, schedule="one_cycle"), "b": runs(400, 400, patience=None)}) == []
