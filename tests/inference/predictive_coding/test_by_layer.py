"""Laws and precisions of the kinds of layers: each reaches its own layers and no other."""

from functools import partial

import pytest
import torch
from torch import nn

from precisionflow.ablation.design import expand
from precisionflow.config import overlay, resolve
from precisionflow.config.learning import (
    FixedPrecision,
    GaussianLaw,
    LaplaceLaw,
    LearnedPrecision,
    OfKind,
    PredictedPrecision,
    PredictiveCoding,
    StudentTLaw,
)
from precisionflow.config.likelihoods import CrossEntropy, GaussianNLL
from precisionflow.config.networks import MLP, Fusion, Generative, Transformer
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.generative import Generative as ImageModel
from precisionflow.inference.predictive_coding.parameters import SHARE_OF_GRADIENT
from precisionflow.inference.predictive_coding.settle import settle
from precisionflow.models.likelihoods.density import Heads
from precisionflow.models.likelihoods.objective import density, objective
from precisionflow.models.networks.fusion import fusion
from precisionflow.models.networks.generative import generative
from precisionflow.models.networks.layered import Layered
from precisionflow.models.networks.mlp import mlp
from precisionflow.models.networks.transformer import TokenReadout, transformer
from precisionflow.models.networks.vectors import vector_transformer
from precisionflow.training.batches import Batch
from precisionflow.training.rules.learner import learner
from precisionflow.training.rules.predictive_coding import predictive_coding

KINDS = ("embedding", "convolution", "attention", "feed_forward")
CONFIG = Transformer(blocks=2, heads=2, width=8, convolution=3, zero_projections=False)
BOUNDS = {"initial": 20.0, "lowest": 1e-3, "highest": 1e4}


@pytest.fixture
def language():
    """A tiny transformer of every kind of layer in double precision, and its batch."""
    torch.manual_seed(0)
    model = transformer(CONFIG, vocabulary=7, context=5, readout=partial(TokenReadout, classes=7)).double()
    windows = torch.randint(0, 7, (3, 6))
    return model, Batch(windows[:, :-1], windows[:, 1:])


def rule_of(model, config):
    return learner(model, objective(CrossEntropy()), config).double()


def test_networks_name_the_layers_that_their_configurations_count():
    heads: Heads = density(GaussianNLL()).heads
    readout = partial(TokenReadout, classes=7)
    of_vectors = Transformer(blocks=3, heads=2, width=8)
    for config, model in (
        (CONFIG, transformer(CONFIG, vocabulary=7, context=5, readout=readout)),
        (of_vectors, vector_transformer(of_vectors, places=2, features=6, heads=heads)),
        (given := MLP(hidden=(4, 5, 6)), mlp(given, features=3, heads=heads)),
        (given := Fusion(sources=2), fusion(given, features=3)),
        (given := Generative(states=(3, 4, 5)), generative(given, classes=2, pixels=9)),
    ):
        assert model.layer_kinds == config.layer_kinds
        assert len(model.layer_kinds) == len(model.layers) == len(model.states)
    assert CONFIG.layer_kinds == ("embedding", *("convolution", "attention", "feed_forward") * 2)


def test_a_law_of_its_own_reaches_its_layers_alone(language):
    """One step from zero: e_i = -step / precision_i dLoss/ds_i, so each kind's errors follow its own precision."""
    model, batch = language
    plain = PredictiveCoding(precision=FixedPrecision(value=50.0), iterations=1)
    own = plain.model_copy(
        update={
            "by_layer": {
                "attention": OfKind(precision=FixedPrecision(value=200.0)),
                "feed_forward": OfKind(law=LaplaceLaw()),
            }
        }
    )
    found = []
    for config in (plain, own):
        rule = rule_of(model, config).rule
        clamped = Clamped(model, objective(CrossEntropy()).losses(progress=0.0), batch.inputs, batch.target)
        found.append(settle(clamped, clamped.passed(), rule.laws, config=config, steps=1).errors)
    for kind, one, other in zip(model.layer_kinds, *found, strict=True):
        match kind:
            case "attention":
                torch.testing.assert_close(other, one / 4)
            case "feed_forward":
                assert not other.any(), "no loss here pulls by sqrt(2 precision)"
            case _:
                assert torch.equal(one, other)
        assert one.any()


@pytest.mark.parametrize(
    ("law", "precision"),
    [
        (GaussianLaw(), FixedPrecision(value=30.0, growth=0.5, last=90.0)),
        (StudentTLaw(shape="learned"), LearnedPrecision(per="channel", **BOUNDS)),
        (LaplaceLaw(), PredictedPrecision(**BOUNDS)),
        (GaussianLaw(), LearnedPrecision(per="position", **BOUNDS)),
    ],
    ids=str,
)
@pytest.mark.parametrize("layers", [None, (0, 2, 3)])
def test_where_all_kinds_say_the_same_it_is_bitwise_one_law_of_all(language, law, precision, layers):
    model, batch = language
    one = PredictiveCoding(law=law, precision=precision, layers=layers, iterations=3, step_size=0.1)
    named = {model.layer_kinds[place] for place in layers} if layers else KINDS
    own = PredictiveCoding(
        law=StudentTLaw(degrees_of_freedom=7.0),
        precision=FixedPrecision(value=3.0),
        by_layer={kind: OfKind(law=law, precision=precision) for kind in named},
        layers=layers,
        iterations=3,
        step_size=0.1,
    )
    lessons = []
    for config in (one, own):
        learning = rule_of(model, config)
        lesson = learning(batch._replace(progress=0.5))
        weights = torch.autograd.grad(lesson.surrogate, list(learning.parameters()))
        lessons.append((lesson, weights, list(learning.state_dict())))
    (lesson, weights, keys), (other, others, same) = lessons
    assert keys == same
    assert torch.equal(lesson.energy, other.energy)
    assert all(torch.equal(mine, its) for mine, its in zip(weights, others, strict=True))


def test_heads_alone_may_have_precisions_of_their_own(language):
    """It is one precision per head everywhere, but for layers that have no heads and one precision anyway."""
    model, batch = language
    per_head, layer = LearnedPrecision(per="head", **BOUNDS), LearnedPrecision(**BOUNDS)
    all_of_them = rule_of(model, PredictiveCoding(precision=per_head))
    attention = rule_of(
        model, PredictiveCoding(precision=layer, by_layer={"attention": OfKind(precision=per_head)})
    )
    assert torch.equal(all_of_them(batch).energy, attention(batch).energy)
    assert [law.precision.offset.numel() for law in attention.rule.laws.each] == [1, 1, 2, 1, 1, 2, 1]
    behind = rule_of(
        model, PredictiveCoding(precision=per_head, by_layer={"attention": OfKind(precision=layer)})
    )
    plain = rule_of(model, PredictiveCoding(precision=layer))
    assert torch.equal(behind(batch).energy, plain(batch).energy)
    assert not torch.equal(plain(batch).energy, attention(batch).energy)


@pytest.mark.parametrize("kind", ["lower", "upper"])
def test_a_precision_that_one_kind_learns_is_the_inverse_variance_of_its_errors(kind):
    """y = B A x + noise, observed a hundred times as precisely; errors of the other kind are as good as forbidden.

    Both learned at once have no common minimum: they share one error between them, and either could have it all.
    """
    torch.manual_seed(0)
    kinds = ("lower", "upper")
    maps = [nn.Linear(3, 2, bias=False).double(), nn.Linear(2, 2, bias=False).double()]
    nn.init.eye_(maps[1].weight)
    model = Layered(maps, nn.Identity(), states=[(2,)] * 2, layer_kinds=kinds)
    inputs = torch.randn(3000, 3, dtype=torch.float64)
    deviations = torch.tensor([1.0, 2.0], dtype=torch.float64)
    target = model(inputs).detach() + deviations * torch.randn(3000, 2, dtype=torch.float64)

    def loss(output, target):
        return (50 * ((output - target) / deviations).square()).sum(-1)

    precision = LearnedPrecision(per="channel", initial=0.5, lowest=1e-6, highest=1e6)
    config = PredictiveCoding(
        iterations=12,
        step_size=0.009,
        precision=FixedPrecision(value=1e5),
        by_layer={kind: OfKind(precision=precision)},
    )
    rule = predictive_coding(config, states=model.states, layer_kinds=kinds).double()
    optimiser = torch.optim.SGD(rule.parameters(), lr=2.0 / SHARE_OF_GRADIENT)
    for _ in range(25):
        optimiser.zero_grad()
        rule(model, loss, Batch(inputs, target)).surrogate.backward()
        optimiser.step()
    found = {of: law.precision(target).detach() for of, law in zip(kinds, rule.laws.each, strict=True)}
    torch.testing.assert_close(found.pop(kind), deviations**-2, rtol=0.05, atol=0)
    (other,) = found.values()
    assert other.item() == 1e5


def test_states_and_the_image_have_laws_of_their_own():
    given = Generative(states=(3, 4), beliefs="mode")
    network = generative(given, classes=2, pixels=9)
    learning = PredictiveCoding(
        by_layer={
            "state": OfKind(precision=FixedPrecision(value=7.0, raised=(1,))),
            "image": OfKind(law=StudentTLaw(), precision=LearnedPrecision(per="channel")),
        }
    )
    model = ImageModel(network, given, learning, pixels=9)
    state = torch.zeros(1)
    assert [law.precision(state).item() for law in model.laws.each] == [1.0, 70.0]
    assert model.image_law.precision(torch.zeros(9)).shape == (9,)
    assert type(model.image_law.law) is not type(model.laws[1].law)


def test_dotted_settings_reach_a_kind_of_layer():
    """--set, Katib's parameters and axes of an ablation are such settings."""
    tree = {
        "name": "t",
        "task": {"kind": "next_token"},
        "model": {"kind": "transformer"},
        "objective": {"kind": "cross_entropy"},
        "learning": {
            "kind": "predictive_coding",
            "by_layer": {
                "attention": {"law": {"kind": "laplace"}, "precision": {"kind": "fixed", "value": 10}}
            },
        },
    }
    changed = {
        "learning.by_layer.attention.precision.value": 3,
        "learning.by_layer.embedding.law": {"kind": "student_t", "degrees_of_freedom": 5},
    }
    learning = resolve(overlay(tree, changed)).learning
    assert learning.law_of("attention") == LaplaceLaw()
    assert learning.precision_of("attention") == FixedPrecision(value=3.0)
    assert learning.law_of("embedding") == StudentTLaw(degrees_of_freedom=5.0)
    assert learning.law_of("feed_forward") == GaussianLaw()
    axes = {"precise": {"low": {"learning.by_layer.attention.precision.value": 1}}}
    (variant,) = expand(resolve(overlay(tree, {"ablation.axes": axes})))
    assert variant.experiment.learning.precision_of("attention") == FixedPrecision(value=1.0)
    levels = {"heavy": {"learning.by_layer.embedding.law.kind": "student_t"}, "light": {}}
    begun = overlay(
        tree, {"ablation.axes": {"tails": levels}, "learning.by_layer.embedding.precision.kind": "fixed"}
    )
    laws_of = [variant.experiment.learning.law_of("embedding") for variant in expand(resolve(begun))]
    assert laws_of == [StudentTLaw(), GaussianLaw()]
