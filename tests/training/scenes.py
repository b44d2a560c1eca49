"""A tiny experiment on allocation, as changes to another experiment's tree."""

from typing import Any

SCENES: dict[str, Any] = {
    "task": {
        "kind": "allocation",
        "source": {"kind": "scenes", "patches": 2, "patch": 12, "count": 1, "clutter": 0.0},
        "train": 24,
        "valid": 8,
        "test": 8,
    },
    "model": {"kind": "patch_reader", "budget": 192, "lowest": 16, "highest": 144, "hidden": 8},
    "objective": {"kind": "allocation_elbo"},
    "training": {"steps": 12, "batch_size": 8, "learning_rate": 0.01, "gradient_clip": 0.5},
}
"""Four patches of 12 x 12 pixels with 16 to 144 tokens."""
