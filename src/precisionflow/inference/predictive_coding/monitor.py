"""What is seen of settled errors: energies, norms, precisions and calibration of every layer."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from precisionflow.inference.predictive_coding.calibration import NO_ERRORS, Calibration, calibration
from precisionflow.inference.predictive_coding.energy import Clamped, Parts, Pass
from precisionflow.inference.predictive_coding.laws.assigned import Laws, Present
from precisionflow.inference.predictive_coding.settle import Settled

OfPlaces = Float[Tensor, "places"]


class Seen(NamedTuple):
    """Settled errors of the whole batch, each sample by its importance; a layer of rows has one place."""

    energies: list[Parts]
    """Before the first iteration and after each."""
    norms: list[OfPlaces]
    """Root of the mean over samples of the squared norm over channels of each layer's errors."""
    precisions: list[OfPlaces]
    """Geometric mean over samples and channels of each layer's precisions."""
    of_heads: list[Float[Tensor, "heads"]]
    """Precision of each head of each layer that has one per head; of other layers none."""
    quadratic_energies: list[OfPlaces]
    """Sum over samples and channels of precision e^2 / 2 of each layer."""
    calibrations: list[Calibration]
    """Of each layer's errors, and last of the output's, where it has a law."""
    output_precision: Float[Tensor, "outputs"]
    """Geometric mean over samples and channels of the output's precisions: one number where it has a law, else none."""


@torch.no_grad()
def seen(
    clamped: Clamped,
    settled: Settled,
    laws: Laws,
    *,
    states: Sequence[tuple[int, ...]],
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Seen:
    """`states` are the largest shapes of the layers with an error; `total` sums a copy over ranks.

    Energies are those at the errors themselves where `settle` has `watched` them. Places without a sample are left out.
    """
    last = clamped.passed(settled.errors)
    norms, precisions, of_heads, quadratic, calibrations = [], [], [], [], []
    for layer, (error, prediction) in enumerate(zip(last.errors, last.predictions, strict=True)):
        stated = laws[layer].precision(prediction)
        logs, squared = stated.log().expand(error.shape), clamped.counting(0.5 * stated * error.square())
        places = states[layer][0] if len(states[layer]) == 2 else 1
        weights = clamped.counting(torch.ones_like(error))
        of = (
            weights[..., 0] * error.square().sum(dim=-1),
            weights[..., 0] * logs.mean(dim=-1),
            squared.sum(dim=-1),
            weights[..., 0],
        )
        squares, log_precisions, energy, counts = (
            total(_by_place(each, clamped.mask, places)) for each in of
        )
        there = counts > 0
        norms.append((squares[there] / counts[there]).sqrt())
        precisions.append((log_precisions[there] / counts[there]).exp())
        of_heads.append(laws[layer].of_heads(stated))
        quadratic.append(energy[there])
        calibrations.append(calibration(laws[layer], error, prediction, weights, total=total))
    of_output, output_precision = _of_output(clamped, last, total)
    calibrations.append(of_output)
    energies = [*settled.parts[: settled.steps], clamped.parts(last, laws)]
    summed = [total(parts) for parts in energies]
    return Seen(summed, norms, precisions, of_heads, quadratic, calibrations, output_precision)


def _of_output(
    clamped: Clamped, last: Pass, total: Callable[[Tensor], Tensor]
) -> tuple[Calibration, Float[Tensor, "outputs"]]:
    """Calibration and precision of the output's errors, of those that count."""
    law = clamped.output_law
    if law is None:
        return NO_ERRORS, last.output.new_empty(0)
    error = clamped.target - last.output
    weights = torch.ones_like(error) if clamped.factors is None else clamped.factors.expand_as(error)
    logs = law.precision(last.output).log().expand_as(error)
    summed, counts = total(torch.stack([(weights * logs).sum(), weights.sum()])).split(1)
    there = counts > 0
    precision = (summed[there] / counts[there]).exp()
    return calibration(law, error, last.output, weights, total=total), precision


def _by_place(values: Float[Tensor, "samples *places"], present: Present | None, places: int) -> OfPlaces:
    """Sums over samples that have the place, 0 beyond the longest of them."""
    if values.ndim == 1:
        return values.sum(dim=0, keepdim=True)
    there = values if present is None else torch.where(present, values, 0.0)
    return functional.pad(there.sum(dim=0), (0, places - values.shape[1]))
