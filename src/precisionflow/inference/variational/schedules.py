"""Schedules of updates: one variable after the other, or in parallel all of a colour."""

import itertools
from collections.abc import Callable, Sequence

from precisionflow.inference.variational.factors import Variable
from precisionflow.inference.variational.model import Model

Classes = Sequence[Sequence[Variable]]
"""Variables of a class are updated from the same beliefs, classes one after the other."""
Schedule = Callable[[Model], Classes]


def sequential(model: Model) -> Classes:
    """Every variable by itself, in the order in which the model made them."""
    return [[variable] for variable in model.variables]


def coloured(model: Model) -> Classes:
    """Classes whose variables share no factor: the first colour that no neighbour has, in the model's order.

    Given all others such variables are independent, so that updating them at once is updating them in turn.
    """
    classes: list[list[Variable]] = []
    near, colours = neighbours(model), dict[Variable, int]()
    for variable in model.variables:
        taken = {colours[other] for other in near[variable] if other in colours}
        colour = next(colour for colour in itertools.count() if colour not in taken)
        colours[variable] = colour
        if colour == len(classes):
            classes.append([])
        classes[colour].append(variable)
    return classes


def neighbours(model: Model) -> dict[Variable, set[Variable]]:
    """Variables that share a factor with each."""
    near: dict[Variable, set[Variable]] = {variable: set() for variable in model.variables}
    for factor in model.factors:
        for variable in factor.variables:
            near[variable] |= set(factor.variables) - {variable}
    return near


def require_schedule(model: Model, classes: Classes) -> None:
    """ValueError where a variable is left out or stands twice, or where two of a class share a factor.

    Updates of neighbours at once can raise the free energy without bound.
    """
    scheduled = [variable for together in classes for variable in together]
    if len(scheduled) != len(set(scheduled)) or set(scheduled) != set(model.variables):
        raise ValueError("schedule: has to have every variable of the model once")
    at = {variable: place for place, together in enumerate(classes) for variable in together}
    order = {variable: place for place, variable in enumerate(model.variables)}
    for factor in model.factors:
        for one, other in itertools.combinations(sorted(set(factor.variables), key=order.__getitem__), 2):
            if at[one] == at[other]:
                raise ValueError(
                    f"schedule: {one.name} and {other.name} share a factor and are updated at once, "
                    "so that the free energy may rise; take coloured or sequential"
                )
