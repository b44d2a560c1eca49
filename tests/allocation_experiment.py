"""A tiny experiment on allocation."""

from typing import Any

from precisionflow.config import Experiment


def allocating(
    *,
    source: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    objective: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    seeds: tuple[int, ...] = (0,),
    **task: Any,
) -> Experiment:
    """Four patches of 12 x 12 pixels with 16 to 144 tokens, if nothing else is said."""
    small = {"patches": 2, "patch": 12, "count": 1, "clutter": 0.0}
    return Experiment.model_validate(
        {
            "name": "allocation",
            "task": {
                "kind": "allocation",
                "source": small | (source or {}),
                "train": 24,
                "valid": 8,
                "test": 16,
                **task,
            },
            "model": {"kind": "patch_reader", "budget": 192, "lowest": 16, "highest": 144, "hidden": 8}
            | (model or {}),
            "objective": {"kind": "allocation_elbo", **(objective or {})},
            "training": {"steps": 2, "batch_size": 8, "validate_every": 1, **(training or {})},
            "seeds": seeds,
        }
    )
