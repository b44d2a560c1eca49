"""A transformer over sequences of unequal length: readouts of sequences and tokens, padding that changes nothing."""

from functools import partial

import pytest
import torch
from torch import nn

from precisionflow.config.attention import (
    Attention,
    Causal,
    DotProduct,
    Full,
    GaussianMixture,
    GaussianPerKey,
    LaplaceByChannel,
    StudentTIsotropic,
)
from precisionflow.config.learning import Backpropagation, FixedPrecision, PredictiveCoding
from precisionflow.config.likelihoods import CrossEntropy
from precisionflow.config.networks import Transformer
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.attention.sites import Sites
from precisionflow.models.likelihoods.categorical import cross_entropy
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import Convolution, PooledReadout, TokenReadout, transformer
from precisionflow.training.batches import Batch
from precisionflow.training.rules.learner import learner
from precisionflow.training.rules.predictive_coding import predictive_coding

VOCABULARY, CONTEXT, WIDTH, CLASSES = 9, 8, 8, 3
LENGTHS = (5, 2, 4)
POOLED = partial(PooledReadout, classes=CLASSES)
TAGS = partial(TokenReadout, classes=CLASSES)
ONE_OF_EACH_LOWERING = [
    DotProduct(),
    GaussianPerKey(),
    GaussianMixture(),
    StudentTIsotropic(),
    LaplaceByChannel(),
]
SETTLING = PredictiveCoding(iterations=4, step_size=0.5, precision=FixedPrecision(value=3.0))
STATES = PredictiveCoding(settles="states", iterations=4, step_size=0.1, precision=FixedPrecision(value=3.0))


def pooled(readout: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of one sequence without padding."""
    normed = torch.stack([readout.norm(token) for token in tokens])
    return readout.classes(torch.cat([normed.mean(dim=0), normed.max(dim=0).values]))


def test_the_pooled_readout_takes_mean_and_largest_value_over_real_tokens():
    torch.manual_seed(0)
    readout, x = POOLED(nn.LayerNorm(WIDTH), nn.Embedding(VOCABULARY, WIDTH)), torch.randn(3, 5, WIDTH)
    present = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    expected = [pooled(readout, sequence[:length]) for sequence, length in zip(x, LENGTHS, strict=True)]
    found = readout(x, Sites(torch.arange(5), present))
    torch.testing.assert_close(found, torch.stack(expected))
    whole = readout(x, Sites(torch.arange(5)))
    torch.testing.assert_close(whole, torch.stack([pooled(readout, sequence) for sequence in x]))


def network(potential: object = None, prior: object = None, readout: object = POOLED) -> TokenNetwork:
    torch.manual_seed(0)
    config = Transformer(
        blocks=2,
        heads=2,
        width=WIDTH,
        attention=Attention(potential=potential or GaussianPerKey(), prior=prior or Full()),
        zero_projections=False,
        convolution=3,
    )
    return transformer(config, vocabulary=VOCABULARY, context=CONTEXT, readout=readout).double()


def batch(places: int, filler: int = 0) -> Batch:
    """Sequences of LENGTHS tokens filled up to `places` with any token."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(1, VOCABULARY, (3, max(LENGTHS)), generator=generator)
    inputs = torch.full((3, places), filler)
    for row, (sequence, length) in enumerate(zip(tokens, LENGTHS, strict=True)):
        inputs[row, :length] = sequence[:length]
    mask = torch.arange(places) < torch.tensor(LENGTHS)[:, None]
    return Batch(inputs, torch.tensor([0, 2, 1]), mask)


def tagged(places: int, filler: int = 0, bag: int = 3) -> Batch:
    """The same with a bag of ids and a tag for every token, of which the second of each sequence does not count."""
    plain, generator = batch(places), torch.Generator().manual_seed(2)
    ids = torch.randint(1, VOCABULARY, (3, max(LENGTHS), 3), generator=generator)
    target = torch.full((3, places), filler % CLASSES)
    inputs = torch.zeros(3, places, bag, dtype=torch.int64)
    inputs[..., :3] = filler
    inputs[:, : max(LENGTHS), :3][plain.mask[:, : max(LENGTHS)]] = ids[plain.mask[:, : max(LENGTHS)]]
    tags = torch.randint(0, CLASSES, (3, max(LENGTHS)), generator=generator)
    target[:, : max(LENGTHS)][plain.mask[:, : max(LENGTHS)]] = tags[plain.mask[:, : max(LENGTHS)]]
    counts = plain.mask.double()
    counts[:, 1] = 0
    return Batch(inputs, target, plain.mask, counts=counts)


def taught(model: TokenNetwork, learning: object, given: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """(loss, gradients of all weights)."""
    lesson = learner(model, objective(CrossEntropy()), learning)(given)
    return lesson.loss, torch.autograd.grad(lesson.surrogate, list(model.parameters()))


@pytest.mark.parametrize("prior", [Full(), Causal()])
@pytest.mark.parametrize("potential", ONE_OF_EACH_LOWERING)
@pytest.mark.parametrize("learning", [Backpropagation(), SETTLING, STATES])
def test_padding_changes_neither_loss_nor_gradients(learning, potential, prior):
    model = network(potential, prior)
    loss, gradients = taught(model, learning, batch(max(LENGTHS)))
    for places, filler in ((CONTEXT, 0), (CONTEXT, 4), (max(LENGTHS), 7)):
        other, found = taught(model, learning, batch(places, filler))
        torch.testing.assert_close(other, loss, rtol=1e-12, atol=0)
        for mine, expected in zip(found, gradients, strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-12)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients)


@pytest.mark.parametrize("potential", [DotProduct(), GaussianPerKey()])
@pytest.mark.parametrize("learning", [Backpropagation(), SETTLING, STATES])
def test_padding_of_places_and_of_bags_changes_nothing_where_every_token_has_a_tag(learning, potential):
    model = network(potential, readout=TAGS)
    loss, gradients = taught(model, learning, tagged(max(LENGTHS)))
    for places, filler, bag in ((CONTEXT, 0, 3), (CONTEXT, 4, 3), (max(LENGTHS), 7, 5)):
        other, found = taught(model, learning, tagged(places, filler, bag))
        torch.testing.assert_close(other, loss, rtol=1e-12, atol=0)
        for mine, expected in zip(found, gradients, strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-12)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients)
    assert loss.item() == pytest.approx(mean_of_counted(model, tagged(CONTEXT, 4)), rel=1e-12)


def mean_of_counted(model: TokenNetwork, given: Batch) -> float:
    """Mean loss of the tokens that count, one sequence at a time without padding."""
    losses = []
    for row, length in enumerate(LENGTHS):
        logits = model(given.inputs[row : row + 1, :length])[0]
        found = cross_entropy(logits, given.target[row, :length])
        losses += [found[place].item() for place in range(length) if place != 1]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("learning", [Backpropagation(), SETTLING])
def test_a_batch_teaches_the_mean_of_what_its_sequences_teach_alone(learning):
    model, whole = network(), batch(CONTEXT)
    loss, gradients = taught(model, learning, whole)
    alone = [
        taught(model, learning, Batch(whole.inputs[i : i + 1, :length], whole.target[i : i + 1]))
        for i, length in enumerate(LENGTHS)
    ]
    torch.testing.assert_close(loss, torch.stack([one for one, _ in alone]).mean(), rtol=1e-12, atol=0)
    for index, gradient in enumerate(gradients):
        expected = torch.stack([of[index] for _, of in alone]).mean(dim=0)
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("readout", "given"), [(POOLED, batch(CONTEXT, filler=4)), (TAGS, tagged(CONTEXT, filler=4))]
)
def test_errors_at_padded_places_stay_zero(readout, given):
    model = network(readout=readout)
    rule = predictive_coding(SETTLING, states=model.states)
    clamped = Clamped(model, cross_entropy, given.inputs, given.target, given.mask, given.counts)
    errors = settle(clamped, clamped.passed(), rule.laws, config=SETTLING, steps=SETTLING.steps).errors
    assert len(errors) == len(model.layers)
    for error in errors:
        assert torch.equal(error[~given.mask], torch.zeros_like(error[~given.mask]))
        counted = given.mask if given.counts is None else given.counts > 0
        assert (error[counted].abs().sum(dim=-1) > 0).all()
    assert (errors[0][given.mask].abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize(("places", "before"), [(3, 1), (3, 2), (5, 2), (2, 1)])
def test_a_convolution_sees_its_places_of_real_tokens(places, before):
    torch.manual_seed(0)
    layer, x = Convolution(WIDTH, nn.Linear, places=places, before=before), torch.randn(3, 5, WIDTH)
    matrices = layer.mix.weight.view(WIDTH, places, WIDTH)
    present = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    found = layer(x, Sites(torch.arange(5), present))
    for row, length in enumerate(LENGTHS):
        for place in range(length):
            seen = [(k, place + k - before) for k in range(places)]
            mixed = sum(matrices[:, k] @ x[row, at] for k, at in seen if 0 <= at < length)
            expected = layer.mix.bias + mixed
            torch.testing.assert_close(found[row, place], expected)


def test_a_convolution_starts_as_nothing_and_is_causal_where_the_prior_is():
    for prior, before in ((Causal(), 2), (Full(), 1)):
        config = Transformer(blocks=2, width=WIDTH, convolution=3, attention=Attention(prior=prior))
        model = transformer(config, vocabulary=VOCABULARY, context=CONTEXT, readout=TAGS)
        found = [layer.branch for layer in model.layers[1:] if isinstance(layer.branch, Convolution)]
        assert [(layer.before, layer.mix.weight.abs().max().item()) for layer in found] == [(before, 0.0)] * 2
        assert len(model.layers) == 1 + 2 * 3
