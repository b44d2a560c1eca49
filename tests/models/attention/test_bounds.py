"""Whatever number the configuration of attention accepts gives finite values and gradients."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from precisionflow.config.attention import Attention
from precisionflow.config.base import Config, kind_of, members_of
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.sites import Sites

TOKENS, WIDTH, HEADS = 5, 8, 2
SIZES = (5e-324, 1e-300, 1e-30, 1e-6, 1e-3, 1e3, 1e6, 1e30, 1e300)
COUNTS = (0, 1, 7, 8, 2**12, 10**30)
NO_SIZES = ("edges", "hops", "iterations", "updates")
"""Fields of integers that no tensor is made from: positions, and how often something is done."""
NEEDED = {"before": 1, "edges": [[i, 0] for i in range(TOKENS)], "of": [{"kind": "causal"}]}
"""What has no default."""


def fields() -> Iterator[tuple[str, str]]:
    """(part, kind and name) of every field that is a number, or several."""
    yield "temperature", ""
    for part in ("potential", "prior", "edges", "value"):
        for member in members_of(Attention.model_fields[part].annotation):
            for name, field in member.model_fields.items():
                if (
                    any(number in str(field.annotation) for number in ("int", "float"))
                    and name not in NO_SIZES
                ):
                    yield part, f"{kind_of(member)}.{name}"


def given(part: str, field: str, number: float) -> dict[str, Any]:
    """The configuration of attention with one number."""
    if part == "temperature":
        return {part: number}
    kind, name = field.split(".")
    (member,) = (
        of
        for of in members_of(Attention.model_fields[part].annotation)
        if of.model_fields["kind"].default == kind
    )
    needed = {key: value for key, value in NEEDED.items() if key in member.model_fields}
    value = [number] * HEADS if name == "slopes" else number
    chosen = {part: {"kind": kind, **needed, name: value}}
    return chosen | ({"prior": {"kind": "geometric"}} if kind == "expanding" else {})


def accepted(part: str, field: str) -> Iterator[Config]:
    """In the order of the numbers."""
    for number in sorted(SIZES + COUNTS):
        try:
            yield Attention.model_validate(given(part, field, number))
        except ValidationError:
            continue


@pytest.mark.parametrize(("part", "field"), list(fields()))
def test_the_least_and_the_largest_that_are_accepted_give_finite_values_and_gradients(
    part: str, field: str
) -> None:
    tried = list(accepted(part, field))
    assert 0 < len(tried) < len(SIZES + COUNTS)
    for config in (tried[0], tried[-1]):
        torch.manual_seed(0)
        made = attention(config, width=WIDTH, heads=HEADS)
        x = torch.randn(2, TOKENS, WIDTH)
        found = made(x, Sites(torch.arange(TOKENS), None, range(TOKENS)))
        found.square().sum().backward()
        assert found.isfinite().all(), config
        for name, parameter in made.named_parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all(), (config, name)
