"""Kernels of our own are taken where they agree with the definition: looked at once for each form and device.

A GPU's compiler is not what the tests run them on. A kernel that is wrong there, or is refused, costs speed, not truth.
"""

import warnings
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import Score, Values, summed

TOKENS = 256
"""Of the first sequence, which are looked at."""
NEAR = 64
"""Largest offset of a table that is looked at in place of one that is not whole for all tokens, but for these."""
TOLERANCE = 0.1
"""Largest error over the norm of the mean or of a gradient; those of bfloat16 are below 0.04."""
LEAST = 0.01
"""Share of the norm of all gradients that is no error of one of them."""


def agree(score: Score, values: Values, prior: LogPrior) -> bool:
    """Whether mean and gradients of the kernels are those of `defined`; a warning where they are not."""
    tables, causal = summed.tables(prior) or (None, None), prior.causal
    sides, (of_key, by_place) = (score.queries, score.keys, values), tables
    key = (
        (score.form, score.level, score.of_query, score.of_key, score.width, values.shape[-1]),
        (causal, str(values.device), *(side.dtype for side in sides)),
        of_key is not None,
        by_place is not None and (by_place.requires_grad, _whole(by_place, sides)),
    )
    if key not in _FOUND:
        problem = torch.compiler.disable(_difference)(score, values, tables, causal=causal)
        _FOUND[key] = problem is None
        if problem:
            warnings.warn(
                f"attention on {values.device}: kernels of scores ({score.form}) are not used, {problem}; "
                "slower ones are",
                stacklevel=2,
            )
    return _FOUND[key]


_FOUND: dict[Hashable, bool] = {}


def defined(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    of_key: Tensor | None,
    by_place: Tensor | None,
    score: Score,
    causal: bool,
) -> Tensor:
    """softmax(score + log prior) values with the matrix of edges, in float32.

    A number of every key that is 1 has no gradient.
    """
    if score.level:
        keys = torch.cat([keys[..., :-1], torch.ones_like(keys[..., -1:])], dim=-1)
    (vectors, own), (others, of_other) = score._replace(queries=queries, keys=keys).apart()
    product = vectors.to(values.dtype).float() @ others.to(values.dtype).float().mT
    logs = score.value(product, tuple(n[..., None] for n in own), tuple(n[..., None, :] for n in of_other))
    places = torch.arange(queries.shape[-2], device=queries.device)
    offsets = places[:, None] - torch.arange(keys.shape[-2], device=keys.device)
    if of_key is not None:
        logs = logs + of_key[:, None, :]
    if by_place is not None:
        half = by_place.shape[-1] // 2
        logs = logs + by_place[:, offsets.clamp(-half, half) + half]
    if causal:
        logs = logs.masked_fill(offsets < 0, float("-inf"))
    return logs.softmax(-1) @ values.float()


def _difference(score: Score, values: Values, tables: summed.Tables, *, causal: bool) -> str | None:
    """What differs between the kernels and the definition on the first tokens; none: nothing."""
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast(values.device.type, enabled=False),
    ):
        queries, keys, few = (_apart(side[:1, :, :TOKENS]) for side in (score.queries, score.keys, values))
        of_key, by_place = tables
        of_key = None if of_key is None else _apart(of_key[:, :TOKENS])
        if by_place is not None:
            middle, learned = by_place.shape[-1] // 2, by_place.requires_grad
            if not _whole(by_place, (score.queries, score.keys)) and _whole(by_place, (queries, keys)):
                by_place = by_place[:, middle - NEAR : middle + NEAR + 1]
            by_place = _apart(by_place).requires_grad_(learned)
        given = (queries, keys, few, of_key, by_place)
        wanted = [tensor for tensor in given if tensor is not None and tensor.requires_grad]
        expected = defined(*given, score, causal)
        weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0)).to(expected)
        right = torch.autograd.grad((expected * weights).sum(), wanted)
        try:
            found = summed.mean(*given, score, causal)
            ours = torch.autograd.grad((found.float() * weights).sum(), wanted)
        except Exception as error:  # whatever a compiler or a driver says
            return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    if not _near([found], [expected]):
        return "their mean is not that of the definition"
    return None if _near(ours, right) else "their gradients are not those of the definition"


def _whole(by_place: Tensor, sides: Sequence[Tensor]) -> bool:
    """Whether the table has an entry of its own for every offset."""
    return by_place.shape[-1] // 2 >= max(side.shape[-2] for side in sides) - 1


def _apart(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


def _near(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    norms = [right.float().norm() for right in expected]
    least = LEAST * torch.stack(norms).norm()
    errors = [(ours.float() - right.float()).norm() for ours, right in zip(found, expected, strict=True)]
    return all(bool(error <= TOLERANCE * norm + least) for error, norm in zip(errors, norms, strict=True))
