"""Groups of a network's parameters: which part each belongs to, whatever network it is."""

from typing import Protocol, runtime_checkable

from torch import nn

from precisionflow.config.optimiser import GroupName
from precisionflow.models.networks.readout import precision_head_names

LOG_PRECISION = "log_precision"
"""What a parameter, or the map that gives it, is called where attention learns a precision."""


@runtime_checkable
class Grouped(Protocol):
    """A module that says which group its parameters are in."""

    group: GroupName


def parameter_groups(network: nn.Module) -> dict[str, GroupName]:
    """Name of a parameter -> its group: that of the innermost module around it that says one.

    Precision heads and precisions of attention are groups of their own, wherever they lie.
    """
    heads = precision_head_names(network)
    return {
        name: "distribution" if name in heads else _around(network, name.split("."))
        for name, _ in network.named_parameters()
    }


def _around(module: nn.Module, path: list[str]) -> GroupName:
    group: GroupName = "feed_forward"
    for part in path[:-1]:
        module = module.get_submodule(part)
        group = module.group if isinstance(module, Grouped) else group
    return "precision" if group == "attention" and LOG_PRECISION in path else group
