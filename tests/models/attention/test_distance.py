"""Loops over pairs and channels that a compiler may make, against the plain ones that it takes the place of."""

import torch

from precisionflow.models.attention.lowerings import distance


def test_what_is_compiled_gives_what_is_not(monkeypatch):
    """The definitions themselves: how long a compiler takes is benchmarks/attention.py's, which compares too."""
    monkeypatch.setattr(torch, "compile", lambda loop, **_: loop)
    distance._compiled.cache_clear()
    random = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(3, n, 6, generator=random) for n in (5, 7))
    keys[:, 2, 1:] = queries[:, 1, 1:]  # ties: the sign of no difference is 0
    gradient = torch.randn(3, 5, 7, generator=random)
    found = []
    for compiled in (False, True):
        mean, pull = distance.Distance(2, compiled=compiled).block(queries, keys)
        of_queries, of_keys = torch.zeros_like(queries), torch.zeros_like(keys)
        pull(gradient.clone(), of_queries, of_keys)
        found.append((mean, of_queries, of_keys))
    distance._compiled.cache_clear()
    for plain, other in zip(*found, strict=True):
        torch.testing.assert_close(other, plain, rtol=1e-6, atol=1e-6)
