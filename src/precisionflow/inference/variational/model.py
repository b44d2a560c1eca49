"""Models: variables and data, each predicted by a family with numbers or by a conditional on other variables.

    model = Model()
    mean = model.latent(Gaussian.of(mean=0.0, precision=1e-3))
    precision = model.latent(Gamma.of(shape=1e-3, rate=1e-3))
    model.observe(normal(mean, precision), y)
    found = infer(model)

Plates broadcast as numpy's axes do, so that a batch of models is one model. A variable is made after its parents:
directed cycles cannot be written.
"""

from typing import assert_never

from precisionflow.inference.counts import is_count
from precisionflow.inference.variational.factors import Factor, Variable
from precisionflow.inference.variational.factors.categorical import CategoricalFactor, Conditional, counted
from precisionflow.inference.variational.factors.gaussian import GaussianFactor
from precisionflow.inference.variational.factors.normal import Normal, of_family
from precisionflow.inference.variational.factors.plates import joined
from precisionflow.inference.variational.factors.prior import Prior
from precisionflow.inference.variational.factors.values import Latent, chosen, mixed, require_choice, seen
from precisionflow.inference.variational.families import (
    ExponentialFamily,
    Numbers,
    Plates,
    array,
    numbers,
    require_kind,
)
from precisionflow.inference.variational.families.categorical import Categorical
from precisionflow.inference.variational.families.gaussian import Gaussian
from precisionflow.inference.variational.families.gaussian_vector import GaussianVector

Predicts = ExponentialFamily | Normal | Conditional


class Model:
    """A factor graph: variables in the order in which they were made, and a factor of each variable and datum."""

    def __init__(self) -> None:
        self.factors: list[Factor] = []
        self._factors_of: dict[Variable, list[Factor]] = {}
        self._names: set[str] = set()

    @property
    def variables(self) -> list[Variable]:
        """In the order in which they were made."""
        return [*self._factors_of]

    def latent(
        self,
        given: Predicts,
        *,
        plates: Plates = (),
        start: ExponentialFamily | None = None,
        which: Variable | None = None,
        name: str | None = None,
    ) -> Variable:
        """A variable; `plates` beside those of what predicts it, `start` where its belief begins.

        With `which` it has the plates of this, and each of its values the parents that `observe` says. Without a start
        that is the prediction from the beliefs of its parents at their start. States of mixtures need one that tells
        them apart. ValueError for an improper prior or start.
        """
        _require_kinds(given, which, name or "latent")
        prediction = _prediction(given, which)
        name = self._name(name, f"{type(prediction).__name__} {len(self._factors_of)}")
        self._require_known(given, which, name)
        require_kind(plates, (tuple, list), f"{name}: plates", "a tuple of whole numbers, such as (3,)")
        own = given.plates if which is None else which.plates
        if not all(map(is_count, (*own, *plates))):
            raise ValueError(f"{name}: plates {(*own, *plates)} have to be whole numbers, 1 or more each")
        plates = joined(own, tuple(plates), name=name)
        if isinstance(given, ExponentialFamily):
            given.require_proper(name)
        if start is not None:
            _require_start(start, prediction, plates, name)
        variable = Variable(name, plates, start or prediction)
        self._factors_of[variable] = []
        self._add(_factor(variable, given, which))
        return variable

    def observe(
        self, given: Predicts, values: Numbers, *, which: Variable | None = None, name: str | None = None
    ) -> None:
        """Data: of a Gaussian numbers or vectors, of a categorical states 0, 1, ...

        With `which`, a Categorical variable, value i has the parents on plate k with the probability of which_i = k.
        ValueError for values that are not finite, or whose plates are not those of the parents.
        """
        name = self._name(name, f"data {len(self.factors)}")
        _require_kinds(given, which, name)
        self._require_known(given, which, name)
        given = of_family(given) if isinstance(given, Gaussian | GaussianVector) else given
        match given:
            case Normal():
                self._add(_data(given, values, which, name))
            case Conditional() if which is None:
                self._add(counted(array(values, name), given, name))
            case _:
                raise ValueError(
                    f"{name}: these data have no conjugate update; normal(...) or categorical(...) predicts data, "
                    "and which= chooses between normal ones"
                )

    def factors_of(self, variable: Variable) -> list[Factor]:
        """Those that the variable is in."""
        return self._factors_of[variable]

    def _add(self, factor: Factor) -> None:
        self.factors.append(factor)
        self._names.add(factor.name)
        for variable in dict.fromkeys(factor.variables):
            self._factors_of[variable].append(factor)

    def _require_known(self, given: Predicts, which: Variable | None, name: str) -> None:
        """ValueError for a variable of another model."""
        match given:
            case Normal():
                parents: tuple[object, ...] = given.variables
            case Conditional(logs=logs, given=states):
                parents = (*states, logs)
            case _:
                parents = ()
        for variable in (*parents, which):
            if isinstance(variable, Variable) and variable not in self._factors_of:
                raise ValueError(
                    f"{name}: is predicted by {variable.name} of another model; make it in this one"
                )

    def _name(self, given: str | None, usual: str) -> str:
        name = given or usual
        if name in self._names:
            raise ValueError(f"name: {name!r} stands in the model already; take another")
        return name


def require_model(model: object, name: str) -> None:
    """TypeError for what is no model, ValueError for one without a variable."""
    require_kind(model, Model, name, "a model")
    if isinstance(model, Model) and not model.variables:
        raise ValueError(f"{name}: the model has no variable; give it one with latent")


def _require_kinds(given: object, which: object, name: str) -> None:
    """TypeError for what predicts nothing."""
    require_kind(given, Predicts, name, "a family, such as Gaussian.of(...), normal(...) or categorical(...)")
    require_kind(which, Variable | None, f"{name}: which=", "a Categorical variable")


def _factor(variable: Variable, given: Predicts, which: Variable | None = None) -> Factor:
    match given:
        case Normal() if which is not None:
            of = chosen(variable, which, parents=given, name=variable.name)
            return GaussianFactor(variable.name, given, of, which.start.event[:1])
        case Normal():
            return GaussianFactor(variable.name, given, Latent(variable, given.algebra), variable.plates)
        case Conditional():
            return CategoricalFactor(variable.name, given, variable, variable.plates)
        case ExponentialFamily():
            return Prior(variable, given)
        case _:
            assert_never(given)


def _data(given: Normal, values: Numbers, which: Variable | None, name: str) -> GaussianFactor:
    found, algebra, parents = numbers(values, name), given.algebra, given.plates
    if found.ndim < algebra.axes[0] or found.numel() == 0:
        raise ValueError(
            f"{name}: has shape {tuple(found.shape)}, needs {given.width} numbers for each value, one or more"
        )
    if algebra.width(found) != given.width:
        raise ValueError(f"{name}: has vectors of {algebra.width(found)} numbers, their mean {given.width}")
    if which is None:
        return GaussianFactor(name, given, seen(found, parents=parents, algebra=algebra, name=name), parents)
    of = chosen(found, which, parents=given, name=name)
    return GaussianFactor(name, given, of, which.start.event[:1])


def _prediction(given: Predicts, which: Variable | None) -> ExponentialFamily:
    """From the beliefs of the parents at their start."""
    match given:
        case Normal(mean=mean, algebra=algebra) if which is not None:
            require_choice(which, given.plates, "latent")
            beliefs = {each: each.start for each in (which, *given.variables)}
            parents = (mean.mean(beliefs), given.precision_under(beliefs))
            return algebra.family(mixed(which, parents, algebra, beliefs))
        case _ if which is not None:
            raise ValueError(
                "latent: which= chooses between parents of normal(...), and nothing else has some"
            )
        case ExponentialFamily():
            return given
        case Conditional(logs=logs, given=parents):
            beliefs = {each: each.start for each in (*parents, logs) if isinstance(each, Variable)}
            like = logs.start.natural[0] if isinstance(logs, Variable) else logs
            child = Variable("", given.plates, Categorical((like.new_zeros(given.states),)))
            return Categorical(_factor(child, given).message(child, beliefs).natural)
        case Normal(mean=mean, algebra=algebra):
            beliefs = {each: each.start for each in given.variables}
            precision = given.precision_under(beliefs).mean
            return algebra.family((algebra.times(precision, mean.mean(beliefs)), precision))
        case _:
            assert_never(given)


def _require_start(start: ExponentialFamily, usual: ExponentialFamily, plates: Plates, name: str) -> None:
    require_kind(start, ExponentialFamily, f"{name}: start", f"a {type(usual).__name__}")
    if type(start) is not type(usual) or start.event != usual.event:
        raise ValueError(
            f"{name}: start is {type(start).__name__} of shape {start.event}, "
            f"the variable {type(usual).__name__} of shape {usual.event}"
        )
    start.require_proper(f"{name}: start")
    if joined(plates, start.plates, name=f"{name}: start") != plates:
        raise ValueError(f"{name}: start has plates {start.plates}, the variable {plates}")
