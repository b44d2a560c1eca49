"""The Gaussian about settled states: curvature of the energy in the errors (Laplace's approximation)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws import Errors
from precisionflow.inference.predictive_coding.laws.assigned import Laws

Curvature = Float[Tensor, "samples variables variables"]


def curvature(clamped: Clamped, errors: Sequence[Errors], laws: Laws) -> Curvature:
    """H = diag(precisions) + G^T diag(precisions of the output) G, G = d output / d errors, all layers side by side.

    The Hessian of the energy of Gaussian laws in the errors, but for second derivatives of the layers and for what
    predicted precisions change with the states (Gauss-Newton); exact where the layers are linear and the precisions
    fixed. A state and its error differ by what is predicted from above, so that |H| is that of the states too.
    """
    assert clamped.output_law is not None
    precisions = [
        laws[layer].curvature(prediction).expand_as(prediction)
        for layer, prediction in enumerate(clamped.passed(errors).predictions)
    ]
    output, jacobian = _output_and_jacobian(clamped, errors)
    of_output = clamped.output_law.curvature(output).expand_as(output)
    if clamped.factors is not None:
        of_output = of_output * clamped.factors
    through = torch.einsum("vsp,sp,wsp->svw", jacobian, of_output, jacobian)
    return through + torch.diag_embed(torch.cat(precisions, dim=-1))


def root(of: Curvature) -> Curvature:
    """Lower triangular L with L L^T = H; NaN of a sample whose H is not positive definite as far as its dtype tells."""
    found, failed = torch.linalg.cholesky_ex(of)
    return torch.where(failed[:, None, None] > 0, math.nan, found)


def log_volume(clamped: Clamped, errors: Sequence[Errors], laws: Laws) -> Float[Tensor, "samples"]:
    """1/2 log|H / 2 pi|: -log p at the settled errors plus this is -log of the Gaussian integral about them.

    NaN of a sample whose H has no root.
    """
    found = curvature(clamped, errors, laws)
    diagonal = root(found).diagonal(dim1=-2, dim2=-1)
    return diagonal.log().sum(dim=-1) - 0.5 * found.shape[-1] * math.log(2 * math.pi)


def output_variance(
    clamped: Clamped, errors: Sequence[Errors], laws: Laws
) -> Float[Tensor, "samples outputs"]:
    """diag(G H^-1 G^T): variance of the output's prediction under the Gaussian about the settled errors.

    NaN of a sample whose H has no root.
    """
    _, jacobian = _output_and_jacobian(clamped, errors)
    lower = root(curvature(clamped, errors, laws))
    whitened = torch.linalg.solve_triangular(lower, jacobian.transpose(0, 1), upper=False)
    return whitened.square().sum(dim=1)


def _output_and_jacobian(
    clamped: Clamped, errors: Sequence[Errors]
) -> tuple[Float[Tensor, "samples outputs"], Float[Tensor, "variables samples outputs"]]:
    """The output, and its derivative by each error.

    v -> G^T v is linear, so that its own derivative is G: two backward passes, the second of all errors at once.
    """
    learning = torch.is_grad_enabled()
    with torch.enable_grad():
        flat = torch.cat([error.detach() for error in errors], dim=-1).requires_grad_()
        output = clamped.output(flat.split([error.shape[-1] for error in errors], dim=-1))
        weights = torch.zeros_like(output, requires_grad=True)
        (pulled,) = torch.autograd.grad(output, flat, weights, create_graph=True)
        basis = torch.eye(flat.shape[-1], dtype=flat.dtype, device=flat.device)
        directions = basis[:, None].expand(-1, *flat.shape)
        (jacobian,) = torch.autograd.grad(
            pulled, weights, directions, create_graph=learning, is_grads_batched=True
        )
    return output, jacobian
