"""Gaussians that are known twice: a covariance and a precision, readings of states; exact where one is vague."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Covariances = Float[Tensor, "*times state state"]
EASY = 1e4
"""Largest entry of P J, of what is known before and after a time, with which its covariance is inverted as it is."""


class Read(NamedTuple):
    """Readings of states of covariance P."""

    gain: Tensor
    """K = P H^T (H P H^T + R)^-1."""
    after: Covariances
    """(P^-1 + H^T R^-1 H)^-1."""
    root: Tensor
    """Lower triangular T, T^T T = (H P H^T + R)^-1."""


def read(p: Covariances, h: Tensor, r: Covariances) -> Read:
    """P may be singular, or so vague that R is rounded away beside it where readings of one time tell the same."""
    batch = torch.broadcast_shapes(*(each.shape[:-2] for each in (p, h, r)))
    p, h, r = (each.expand(*batch, *each.shape[-2:]) for each in (p, h, r))
    own, eye = torch.linalg.cholesky(r), torch.eye(h.shape[-2], dtype=r.dtype, device=r.device)
    back = torch.linalg.solve_triangular(own, eye.expand_as(own), upper=False)
    told = back @ h
    spread = torch.linalg.cholesky_ex(eye + told @ p @ told.mT).L
    root = torch.linalg.solve_triangular(spread, back, upper=False)
    gain = p @ (root @ h).mT @ root
    left = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device) - gain @ h
    # Joseph's form: sums, where P - K H P would round a small rest of a large P away
    after = left @ p @ left.mT + gain @ r @ gain.mT
    hard = ~((p @ told.mT @ told).abs().amax(dim=(-2, -1)) <= EASY)
    if bool(hard.any()):
        told, back = told[hard], back[hard]
        spread = _one_and(_root(p[hard]) @ told.mT).mT
        root[hard] = torch.linalg.solve_triangular(spread, back, upper=False)
        half = _half(p[hard], told)
        after[hard] = half.mT @ half
        gain[hard] = after[hard] @ told.mT @ back
    return Read(gain, after, root)


def both_known(
    covariance: Covariances, j: Covariances, *, to: Covariances
) -> tuple[Covariances, Covariances]:
    """C = (P^-1 + J)^-1, of singular P too, and A C A^T."""
    product = covariance @ j
    eye = torch.eye(j.shape[-1], dtype=j.dtype, device=j.device)
    found = inverse(eye + product) @ covariance
    moved = to @ found @ to.mT
    if product.numel() and float(product.abs().max()) > EASY:
        hard = product.abs().amax(dim=(-2, -1)) > EASY
        half = _half(covariance[hard], _root(j[hard]))
        found[hard] = half.mT @ half
        half = half @ to[hard].mT
        moved[hard] = half.mT @ half
    return found, moved


def _half(covariance: Covariances, told: Tensor) -> Tensor:
    """B, B^T B = (P^-1 + A^T A)^-1: a vague P or a precise A takes no digit from what is known well."""
    root = _root(covariance)
    # S^T (1 + S A^T A S^T)^-1 S, S^T S = P
    return torch.linalg.solve_triangular(_one_and(told @ root.mT).mT, root, upper=False)


def _one_and(factor: Covariances) -> Covariances:
    """Upper triangular R, R^T R = 1 + A^T A, without a square of A: there is one however large A is."""
    width = factor.shape[-1]
    eye = torch.eye(width, dtype=factor.dtype, device=factor.device).expand(*factor.shape[:-2], width, width)
    r = torch.linalg.qr(torch.cat([factor, eye], dim=-2), mode="r").R
    # each is the distance of a column from those before it, at least 1 before rounding
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    return r + torch.diag_embed(diagonal.abs().clamp(min=1).copysign(diagonal) - diagonal)


def _root(covariance: Covariances) -> Covariances:
    """A with A^T A = P, singular ones too, exact to rounding of each number's own scale."""
    scale = covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    safe = torch.where(scale > 0, scale, 1.0)
    values, vectors = torch.linalg.eigh(covariance / (safe[:, :, None] * safe[:, None, :]))
    return (values.clamp(min=0).sqrt()[:, None, :] * vectors).mT * scale[:, None, :]


def inverse(matrix: Tensor) -> Tensor:
    """Of small ones in a batch: up to width 2 by the adjugate, which has no call for each matrix."""
    match matrix.shape[-1]:
        case 1:
            return 1 / matrix
        case 2:
            (a, b), (c, d) = matrix.movedim((-2, -1), (0, 1))
            adjugate = torch.stack([d, -b, -c, a], dim=-1).reshape(matrix.shape)
            return adjugate / (a * d - b * c)[..., None, None]
        case _:
            return torch.linalg.inv_ex(matrix).inverse
