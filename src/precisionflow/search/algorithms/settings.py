"""Settings of Katib's algorithms and the values that they take (suggestion services of Katib 0.19)."""

from collections.abc import Callable, Mapping

Check = Callable[[str], bool]
Allowed = Mapping[str, tuple[Check, str]]
"""Setting -> whether a text is one of its values, and those values in words."""


def _whole(low: int) -> tuple[Check, str]:
    return lambda text: int(text) >= low, f"a whole number from {low} on"


def _real(low: float, high: float = float("inf"), *, open_: bool = False) -> tuple[Check, str]:
    inside: Check = lambda text: low < float(text) < high if open_ else low <= float(text) < high  # noqa: E731
    bounds = f"above {low:g}" if open_ else f"from {low:g} on"
    return inside, f"a number {bounds}" + ("" if high == float("inf") else f" and below {high:g}")


def _one_of(*words: str) -> tuple[Check, str]:
    return lambda text: text in words, f"one of {', '.join(words)}"


_SEED = _whole(0)
_COUNT = _whole(1)
SETTINGS: Mapping[str, Allowed] = {
    "random": {"random_state": _SEED},
    "grid": {"random_state": _SEED},
    "tpe": {
        "gamma": _real(0, 1, open_=True),
        "prior_weight": _real(0, open_=True),
        "n_EI_candidates": _COUNT,
        "random_state": _SEED,
    },
    "multivariate-tpe": {"n_startup_trials": _COUNT, "n_ei_candidates": _COUNT, "random_state": _SEED},
    "cmaes": {
        "restart_strategy": _one_of("ipop", "bipop", "none"),
        "sigma": _real(0),
        "random_state": _SEED,
    },
    "sobol": {},
    "bayesianoptimization": {
        "base_estimator": _one_of("GP", "RF", "ET", "GBRT"),
        "n_initial_points": _whole(0),
        "acq_func": _one_of("gp_hedge", "LCB", "EI", "PI", "EIps", "PIps"),
        "acq_optimizer": _one_of("auto", "sampling", "lbfgs"),
        "random_state": _SEED,
    },
    "hyperband": {
        "r_l": _real(0, open_=True),
        "eta": _real(2),
        "resource_name": (bool, "a parameter's name"),
    },
}
MEDIANSTOP: Allowed = {"min_trials_required": _COUNT, "start_step": _COUNT}
REFUSED = {
    "enas": "searches architectures, which an experiment's fields are not",
    "darts": "searches architectures, which an experiment's fields are not",
    "pbt": "passes checkpoints from trial to trial, which a trial here does not take",
}
"""Algorithms of Katib that no study takes, and why."""
