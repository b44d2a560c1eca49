"""Algorithms of a search by Katib's names and settings, run by Optuna or by a few lines of our own."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from precisionflow.records.search import Better
from precisionflow.search.algorithms import space
from precisionflow.search.algorithms.hyperband import Hyperband
from precisionflow.search.study import Algorithm, Parameter
from precisionflow.search.template import Assignments

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

_SHAPES: dict[str, space.Shape] = {
    "random": "with-normal",
    "tpe": "with-normal",
    "multivariate-tpe": "declared",
    "cmaes": "flat",
    "bayesianoptimization": "logarithmic",
}


class Suggester(Protocol):
    """Suggests trials and learns from them; trials have numbers from 0 in the order in which they are suggested."""

    def ask(self) -> Assignments | None:
        """The next trial; none where a running one has to end first, and, when none runs, at the end."""

    def tell(self, number: int, value: float | None) -> None:
        """Objective of a trial; none where it failed."""


def suggester(
    algorithm: Algorithm, parameters: Sequence[Parameter], *, better: Better, seed: int
) -> Suggester:
    """The algorithm over the parameters of a study. ValueError for one that needs Katib itself."""
    name, settings = algorithm.name, algorithm.settings
    match name:
        case "grid":
            return Listed(space.grid(parameters))
        case "sobol":
            return Sobol(parameters)
        case "hyperband":
            draws = Sampled(_sampler("random", {}, seed), _axes("random", parameters), better=better)
            return Hyperband(
                draws.draw,
                most=float(settings["r_l"]),
                eta=int(float(settings.get("eta", 3))),
                resource_name=settings["resource_name"],
                better=better,
            )
        case _ if name in _SHAPES:
            return Sampled(_sampler(name, settings, seed), _axes(name, parameters), better=better)
        case _:
            here = ", ".join(sorted([*_SHAPES, "grid", "sobol", "hyperband"]))
            raise ValueError(
                f"algorithm {name} does not run on this machine; choose one of {here}, or search with --cluster"
            )


class Listed:
    """Trials that are known beforehand."""

    def __init__(self, trials: Iterable[Assignments]) -> None:
        self._trials = iter(trials)

    def ask(self) -> Assignments | None:
        return next(self._trials, None)

    def tell(self, number: int, value: float | None) -> None:
        """Nothing is learned."""


class Sobol:
    """Katib's Sobol sequence: unscrambled, from its second point on, parameters in the order of their names."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        from scipy.stats import qmc

        self._parameters = sorted(parameters, key=lambda parameter: parameter.name)
        self._points = qmc.Sobol(len(self._parameters), scramble=False)
        self._points.fast_forward(1)

    def ask(self) -> Assignments | None:
        point = self._points.random(1)[0]
        return {p.name: space.at_fraction(p, float(x)) for p, x in zip(self._parameters, point, strict=True)}

    def tell(self, number: int, value: float | None) -> None:
        """Nothing is learned."""


class Sampled:
    """Sampler of Optuna, asked and told as Katib's Optuna service does it: a failed trial stays a running one."""

    def __init__(self, sampler: "BaseSampler", axes: Sequence[space.Axis], *, better: Better) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._axes = axes
        self._study = optuna.create_study(sampler=sampler, direction=better)

    def draw(self) -> Assignments:
        """Values of one trial."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask({axis.name: axis.distribution for axis in self._axes})
        return {axis.name: axis.value(trial.params[axis.name]) for axis in self._axes}

    def ask(self) -> Assignments | None:
        return self.draw()

    def tell(self, number: int, value: float | None) -> None:
        if value is not None:
            self._study.tell(number, value)


def _axes(algorithm: str, parameters: Sequence[Parameter]) -> list[space.Axis]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return space.axes(parameters, shape=_SHAPES[algorithm], algorithm=algorithm)


_OF_TPE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "n_startup_trials": ("n_startup_trials", int),
    "n_ei_candidates": ("n_ei_candidates", int),
    "n_EI_candidates": ("n_ei_candidates", int),
}
_ARGUMENTS: dict[str, dict[str, tuple[str, Callable[[str], Any]]]] = {
    "random": {},
    "tpe": _OF_TPE,
    "multivariate-tpe": _OF_TPE,
    "cmaes": {"sigma": ("sigma0", float)},
    "bayesianoptimization": {"n_initial_points": ("n_startup_trials", int)},
}
"""Algorithm -> setting of Katib that Optuna has too -> name and type of Optuna's argument."""


def _sampler(algorithm: str, settings: Mapping[str, str], seed: int) -> "BaseSampler":
    from optuna import samplers

    known = _ARGUMENTS[algorithm]
    given = {known[name][0]: known[name][1](value) for name, value in settings.items() if name in known}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match algorithm:
            case "tpe":
                return samplers.TPESampler(seed=seed, multivariate=False, constant_liar=True, **given)
            case "multivariate-tpe":
                return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, **given)
            case "cmaes":
                return samplers.CmaEsSampler(
                    seed=seed, n_startup_trials=0, warn_independent_sampling=False, **given
                )
            case "bayesianoptimization":
                return samplers.GPSampler(seed=seed, warn_independent_sampling=False, **given)
            case _:
                return samplers.RandomSampler(seed=seed)
