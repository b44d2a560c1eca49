"""A tiny planning experiment."""

from typing import Any

from precisionflow.config import Experiment


def planning(
    *,
    source: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    objective: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    seeds: tuple[int, ...] = (0,),
    **task: Any,
) -> Experiment:
    """The T-maze, if nothing else is said."""
    sizes = {"train": 4, "valid": 4, "test": 50}
    return Experiment.model_validate(
        {
            "name": "planning",
            "task": {"kind": "planning", "source": source or {"kind": "t_maze"}, **sizes, **task},
            "model": {"kind": "agent", **(model or {})},
            "objective": {"kind": "expected_free_energy", **(objective or {})},
            "training": {"steps": 2, "batch_size": 2, "validate_every": 1, **(training or {})},
            "seeds": seeds,
        }
    )
