"""Closed forms and naive forms that tests compare the package with: slow, plain, from the definition."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import integrate


def crps_by_integration(target: float, distribution_function: Callable[[float], float]) -> float:
    """Integral of (F(x) - [x >= target])^2 dx by quadrature on both sides of the target."""
    below, _ = integrate.quad(lambda x: distribution_function(x) ** 2, -np.inf, target, epsabs=1e-12)
    above, _ = integrate.quad(lambda x: (1 - distribution_function(x)) ** 2, target, np.inf, epsabs=1e-12)
    return below + above


def cramer_von_mises_by_integration(pit: np.ndarray) -> float:
    """Integral of (F_n(u) - u)^2 du over [0, 1], piece by piece between the jumps of F_n."""
    ends = [0.0, *sorted(float(u) for u in pit), 1.0]
    pieces = []
    for jumps, (left, right) in enumerate(itertools.pairwise(ends)):
        level = jumps / len(pit)
        pieces.append(((level - left) ** 3 - (level - right) ** 3) / 3)
    return math.fsum(pieces)


def expected_calibration_error_by_loop(confidence: np.ndarray, correct: np.ndarray, *, bins: int) -> float:
    """Naeini et al. 2015, written down bin by bin: sum of count / n * |accuracy - mean confidence|."""
    total = 0.0
    for i in range(bins):
        members = [
            (c, hit) for c, hit in zip(confidence, correct, strict=True) if i / bins < c <= (i + 1) / bins
        ]
        if members:
            accuracy = sum(bool(hit) for _, hit in members) / len(members)
            stated = sum(float(c) for c, _ in members) / len(members)
            total += len(members) / len(confidence) * abs(accuracy - stated)
    return total


def brier_by_loop(probabilities: np.ndarray, target: np.ndarray) -> list[float]:
    """Sum over classes of (p_k - [k = target])^2, one row after the other."""
    return [
        sum((float(p) - (k == y)) ** 2 for k, p in enumerate(row))
        for row, y in zip(probabilities, target, strict=True)
    ]


def gaussian_log_potential(queries, keys, log_precision):
    """log N(q_i; k_j, diag(1 / l_j)) term by term, (batch, heads, queries, keys), without its constant."""
    return gaussian_log_potential_of_pairs(queries, keys, log_precision[..., None, :, :])


def gaussian_log_potential_of_pairs(queries, keys, log_precision):
    """The same with a log precision of every pair and channel, (batch, heads, queries, keys, channels)."""
    differences = queries[..., :, None, :] - keys[..., None, :, :]
    return 0.5 * (log_precision - log_precision.exp() * differences**2).sum(-1)


def student_t_log_potential(queries, keys, log_precision, degrees):
    """log t(q_i; k_j, I / l, nu) with its normaliser, (batch, heads, queries, keys)."""
    differences, width = queries[..., :, None, :] - keys[..., None, :, :], queries.shape[-1]
    squares = log_precision.exp() * (differences**2).sum(-1)
    normaliser = (
        torch.lgamma((degrees + width) / 2)
        - torch.lgamma(degrees / 2)
        - width / 2 * torch.log(degrees * math.pi)
        + width / 2 * log_precision
    )
    return normaliser - (degrees + width) / 2 * torch.log1p(squares / degrees)


def laplace_log_potential(queries, keys, log_precision):
    """sum_c log Laplace(q_ic; k_jc, 1 / sqrt(l)), (batch, heads, queries, keys)."""
    differences = queries[..., :, None, :] - keys[..., None, :, :]
    rate = (0.5 * log_precision).exp()[..., None]
    return (torch.log(rate / 2) - rate * differences.abs()).sum(-1)


def elliptical_laplace_log_potential(queries, keys, log_precision, *, rounded):
    """-sqrt(r^2 + l ||q_i - k_j||^2) and the logarithm of sqrt(l)^d, (batch, heads, queries, keys)."""
    differences = queries[..., :, None, :] - keys[..., None, :, :]
    squares = log_precision.exp() * (differences**2).sum(-1)
    return queries.shape[-1] / 2 * log_precision - torch.sqrt(rounded**2 + squares)


def mixture_log_potential(queries, keys, log_precision, shifts, weights):
    """log sum_m w_m N(q_i; k_j + s_m, I / l_m): Gaussians term by term, (batch, heads, queries, keys)."""
    parts = [
        weights[:, m, None, None].log()
        + gaussian_log_potential(
            queries, keys + shifts[:, m, None, :], log_precision[:, m, None, None].expand_as(keys)
        )
        for m in range(weights.shape[-1])
    ]
    return torch.logsumexp(torch.stack(parts), dim=0)


def pair_precision(queries, keys, of_query, of_key, bias, weights):
    """w . relu(U q_i + V k_j + c) of every pair by itself, (batch, heads, queries, keys)."""
    hidden = (queries @ of_query)[..., :, None, :] + (keys @ of_key)[..., None, :, :] + bias[..., None, :]
    return hidden.relu() @ weights


def naive_attention(log_potential, values, *, causal):
    """Softmax over keys of the log potential, masked by hand, times the values."""
    if causal:
        rows, columns = log_potential.shape[-2:]
        later = torch.arange(columns)[None, :] > torch.arange(rows)[:, None]
        log_potential = log_potential.masked_fill(later, float("-inf"))
    return log_potential.softmax(-1) @ values


def expanding_posterior(log_potential, *, alpha, beta, updates):
    """Mean-field updates of Singh & Buckley (2023, section 5.2), query by query over all keys at and before it.

    The last query stands at the last key. q is not differentiated.
    """
    batch, heads, queries, keys = log_potential.shape
    result = torch.zeros_like(log_potential)
    for b, h, i in itertools.product(range(batch), range(heads), range(queries)):
        place = keys - queries + i
        nearest_first = log_potential[b, h, i, : place + 1].flip(0)
        distance = torch.arange(place + 1, dtype=log_potential.dtype)
        a, c = alpha, beta
        for _ in range(updates):
            p = (nearest_first.detach() + distance * math.log(c / (a + c))).softmax(0)
            a, c = a + 1, c + float((p * distance).sum())
        final = (nearest_first + distance * math.log(c / (a + c))).softmax(0)
        result[b, h, i, : place + 1] = final.flip(0)
    return result


def block_slots_step(observations, memory, state):
    """z_ib <- sum_j p(i | x_j) x_jb + sum_k r(k | z_ib) m_bk, edge by edge."""
    (slots, width), (blocks, memories, block) = state.shape, memory.shape
    result = torch.zeros_like(state)
    for x in observations:
        shares = torch.stack([z @ x for z in state]).softmax(0)
        for i in range(slots):
            result[i] += shares[i] * x
    for i, b in itertools.product(range(slots), range(blocks)):
        of_block = slice(b * block, (b + 1) * block)
        recalled = torch.stack([memory[b, k] @ state[i, of_block] for k in range(memories)]).softmax(0)
        for k in range(memories):
            result[i, of_block] += recalled[k] * memory[b, k]
    assert width == blocks * block
    return result


def competing_errors_step(observations, mean, weights, of_slots, of_observations, causes, slots):
    """Causes, then slots, go to the minimum of their squared errors weighed by p(edge); slots and p(slot | x).

    p(cause j of slot i) = softmax_j(-k |z_i - w_ij c_j|^2 / 2), and alike of slots of observations, whose weight is 1.
    """

    def edges(error, precision):
        return torch.stack([-0.5 * precision * of.square().sum() for of in error]).softmax(0)

    def of_each():
        return torch.stack([edges(x - slots, of_observations) for x in observations])

    below = torch.stack(
        [edges(z - w[:, None] * causes, of_slots) for z, w in zip(slots, weights, strict=True)]
    )
    above = of_each()
    moved = causes.clone()
    for j in range(len(causes)):
        gains = [below[i, j] * of_slots * weights[i, j] for i in range(len(slots))]
        pull = mean[j] + sum(gain * z for gain, z in zip(gains, slots, strict=True))
        moved[j] = pull / (1 + sum(gain * weights[i, j] for i, gain in enumerate(gains)))
    risen = slots.clone()
    for i in range(len(slots)):
        pull = of_slots * sum(below[i, j] * weights[i, j] * moved[j] for j in range(len(causes)))
        gains = [above[k, i] * of_observations for k in range(len(observations))]
        pull = pull + sum(gain * x for gain, x in zip(gains, observations, strict=True))
        risen[i] = pull / (of_slots + sum(gains))
    slots = risen
    return slots, of_each().T
