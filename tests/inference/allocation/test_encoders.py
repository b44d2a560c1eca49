"""Encoders of patches: sequences in micro-batches have the losses and gradients of patches one by one."""

import numpy as np
import pytest
import torch

from precisionflow.inference.allocation.encoders import MIDDLE, SPREAD, Looks, Sequences
from precisionflow.inference.allocation.patches import SOFTNESS, places, waves

SIDE = 12


def sequences(*, lengths: int) -> Sequences:
    """The same weights for all lengths."""
    torch.manual_seed(1)
    return Sequences(SIDE, 5, width=6, lengths=lengths).double()


def images(count: int = 6, patches: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels, and tokens of all patches."""
    drawn = torch.Generator().manual_seed(0)
    tokens = torch.randint(16, SIDE**2 + 1, (count, patches), generator=drawn).double()
    return torch.rand(count, patches, 3, SIDE**2, dtype=torch.float64, generator=drawn), tokens


def taught(model: Sequences, pixels: torch.Tensor, tokens: torch.Tensor) -> list[torch.Tensor]:
    """Loss, and its gradients in the tokens and all weights."""
    model.zero_grad()
    given = tokens.clone().requires_grad_()
    loss = model(pixels, given).square().sum()
    loss.backward()
    return [loss.detach(), given.grad, *(parameter.grad.clone() for parameter in model.parameters())]


@pytest.mark.parametrize("lengths", [2, 8, 144])
def test_losses_and_gradients_are_those_of_one_length_and_of_every_patch_by_itself(lengths: int) -> None:
    pixels, tokens = images()
    found, padded = (taught(sequences(lengths=of), pixels, tokens) for of in (lengths, 1))
    alone = [
        taught(sequences(lengths=1), one[None, None], count[None, None])
        for image, counts in zip(pixels, tokens, strict=True)
        for one, count in zip(image, counts, strict=True)
    ]
    each = [torch.stack(of) for of in zip(*alone, strict=True)]
    summed = [each[0].sum(), each[1].view_as(tokens), *(of.sum(0) for of in each[2:])]
    assert bool((found[1] != 0).all()), "tokens are taught"
    for ours, one_length, by_itself in zip(found, padded, summed, strict=True):
        torch.testing.assert_close(ours, one_length, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(ours, by_itself, rtol=1e-11, atol=1e-12)


def test_features_are_the_formula_over_the_first_cosines() -> None:
    model, (pixels, tokens) = sequences(lengths=3), images(2, 2)
    pixels = ((pixels - MIDDLE) / SPREAD).unflatten(-1, (SIDE, SIDE))
    cosine, order, found = waves(SIDE), places(SIDE).flatten().argsort(), model(images(2, 2)[0], tokens)
    for image, patch in np.ndindex(2, 2):
        grid = torch.einsum("ki,lj,cij->ckl", cosine, cosine, pixels[image, patch])
        total = torch.zeros(6, dtype=torch.float64)
        for place in range(int(tokens[image, patch])):
            down, right = divmod(int(order[place]), SIDE)
            colours = grid[:, down, right] @ model.colours
            each = (colours * model.gain[place] + model.offset[place]).relu()
            total += each @ model.mix * model.place[place]
        torch.testing.assert_close(found[image, patch], model.out(total), rtol=1e-6, atol=1e-6)


def test_gradient_of_a_number_of_tokens_is_what_the_last_ones_tell() -> None:
    """Where all tokens tell alike it is one token's part, as of a sum of so many."""
    model, (pixels, tokens) = sequences(lengths=4), images()
    with torch.no_grad():
        model.gain.zero_()
        for of in (model.offset, model.place):
            of.fill_(1.0)
        model.mix.copy_(torch.eye(6))
    tokens = tokens.clamp_min(10 * SOFTNESS).requires_grad_()
    model.out = torch.nn.Identity()
    model(pixels, tokens)[..., 0].sum().backward()
    torch.testing.assert_close(tokens.grad, torch.ones_like(tokens), rtol=1e-3, atol=0)


def test_places_that_are_computed_are_tokens_and_padding() -> None:
    tokens = torch.tensor([[16, 20, 144, 144], [16, 16, 20, 20]])
    assert Looks(SIDE, 5).cells(tokens) == 8 * 144
    assert [sequences(lengths=of).cells(tokens) for of in (1, 2, 3, 9)] == [
        8 * 144,
        6 * 20 + 2 * 144,
        int(tokens.sum()),
        int(tokens.sum()),
    ]
