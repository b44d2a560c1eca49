"""Tiny experiments on images, as changes to another experiment's tree."""

from typing import Any

BOUNDS = {"initial": 1.0, "lowest": 0.01, "highest": 1e4}
DIGITS: dict[str, Any] = {
    "task": {"kind": "images", "source": {"kind": "scikit_learn_images"}, "validation_fraction": 0.05},
    "model": {"kind": "generative", "states": [3, 6], "iterations": 8},
    "objective": {"kind": "free_energy"},
    "learning": {
        "kind": "predictive_coding",
        "iterations": 6,
        "step_size": 0.05,
        "precision": {"kind": "learned", "per": "channel"} | BOUNDS,
    },
}
"""Two states below the class, with a Gaussian belief about them."""
EARLY_DIGITS = DIGITS | {"learning": DIGITS["learning"] | {"iterations": 20, "tolerance": 1e-3}}
"""Settling that the tolerance ends, in a lesson and in validation."""
UNSTABLE = DIGITS | {"learning": DIGITS["learning"] | {"step_size": 1e3}}
"""Steps beyond stability."""
GUESSED: dict[str, Any] = DIGITS | {
    "learning": DIGITS["learning"]
    | {"start": "amortised", "descent": {"kind": "secant", "per": "channel"}, "step_size": 0.1}
}
"""Settling from guessed errors, in a lesson and in validation, with a curvature of each channel."""
MODES: dict[str, Any] = DIGITS | {
    "model": DIGITS["model"] | {"beliefs": "mode", "prior": {"kind": "predicted"} | BOUNDS},
    "learning": {
        "kind": "predictive_coding",
        "iterations": 3,
        "step_size": 1.0,
        "descent": {"kind": "gauss_newton"},
        "gradient": "energy",
        "law": {"kind": "student_t", "shape": "learned"},
        "precision": {"kind": "predicted"} | BOUNDS,
    },
    "training": {"steps": 12, "batch_size": 8, "learning_rate": 0.01, "average": 0.5},
}
"""The states alone are believed, after steps of Gauss-Newton; validated is a running mean of the weights."""
IMAGES = {
    "stage 0 digits": DIGITS,
    "stage 1 early digits": EARLY_DIGITS,
    "stage 2 guessed digits": GUESSED,
    "stage 3 guessed digits": GUESSED,
    "stage 3 early digits": EARLY_DIGITS,
    "stage 2 modes": MODES,
    "stage 3 modes": MODES,
}
"""Case of two ranks -> what it trains."""
