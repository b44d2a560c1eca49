"""The amortised start: what it guesses, what it learns from, and that nothing else changes."""

from functools import partial

import pytest
import torch
from linear_network import linear_network, squared_error

from precisionflow.config.learning import FixedPrecision, PredictedPrecision, PredictiveCoding
from precisionflow.config.likelihoods import GaussianNLL
from precisionflow.config.networks import MLP
from precisionflow.inference.predictive_coding.amortised import Amortised
from precisionflow.models.likelihoods.objective import density, objective
from precisionflow.models.networks.mlp import mlp
from precisionflow.training.batches import Batch
from precisionflow.training.rules.learner import learner
from precisionflow.training.rules.predictive_coding import predictive_coding

PRECISION = 3.0
coding = partial(
    PredictiveCoding,
    start="amortised",
    precision=FixedPrecision(value=PRECISION),
    step_size=0.2,
    iterations=200,
)


@pytest.fixture
def linear():
    """s0 = A x + e0, s1 = B s0 + e1, output C s1; a batch."""
    return linear_network(3, 4, 5, 2)


def lesson(rule, linear):
    model, batch = linear
    return rule(model, squared_error, batch)


def exact_maps(model):
    """e = -M^T K r / p (see test_settle) and g = C^T r: W_i = M_i^T K C^T+."""
    second, out = (layer.weight.detach() for layer in (model.layers[1], model.readout))
    both = torch.cat([out @ second, out], dim=1)
    inverse = torch.linalg.inv(both @ both.T / PRECISION + torch.eye(2, dtype=torch.float64))
    whole = both.T @ inverse @ torch.linalg.pinv(out.T)
    return whole.split([4, 5])


def test_a_guess_by_the_exact_map_starts_where_settling_ends(linear):
    rule = predictive_coding(coding(iterations=1), states=linear[0].states).double()
    for mine, exact in zip(rule.amortised.maps, exact_maps(linear[0]), strict=True):
        mine.weight.data.copy_(exact)
    settled = lesson(predictive_coding(coding(start="forward"), states=linear[0].states), linear)
    started = lesson(rule, linear)
    torch.testing.assert_close(started.energy, settled.energy, rtol=1e-9, atol=0)
    torch.testing.assert_close(started.loss, settled.loss)
    guessed = torch.autograd.grad(started.surrogate, rule.amortised.maps.parameters())
    assert max(of.abs().max() for of in guessed) < 1e-9, "nothing is left to learn"


def test_the_map_learns_the_settled_errors(linear):
    """Lessons with still weights: the guess after them leaves settling nothing to do."""
    rule = predictive_coding(coding(), states=linear[0].states).double()
    optimiser = torch.optim.LBFGS(rule.amortised.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        surrogate = lesson(rule, linear).surrogate
        surrogate.backward(inputs=list(rule.amortised.parameters()))
        return surrogate

    before = rule.monitored(linear[0], squared_error, linear[1], step=0)
    optimiser.step(closure)
    after = rule.monitored(linear[0], squared_error, linear[1], step=0)
    starts, ends = ([sum(row.energy[at] for row in of.layers) for of in (before, after)] for at in (0, -1))
    assert ends[1] == pytest.approx(ends[0], rel=1e-6)
    assert starts[0] > 1.1 * ends[0]
    assert starts[1] == pytest.approx(ends[1], rel=1e-4)


def test_its_loss_is_the_squared_distance_in_units_of_precision(linear):
    """By the formula; with maps of 0 it is the energy of the settled errors' own law."""
    rule = predictive_coding(coding(iterations=3), states=linear[0].states).double()
    model, batch = linear
    asked = torch.randn(6, 5, dtype=torch.float64)
    errors = [torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)]
    still = rule.amortised.loss(asked, errors, errors, rule.laws)
    assert still.item() == pytest.approx(sum(0.5 * PRECISION * e.square().sum().item() for e in errors))
    for of in rule.amortised.maps:
        of.weight.data.normal_()
    guess = rule.amortised(asked, errors, rule.laws)
    expected = [-asked @ of.weight.T / PRECISION for of in rule.amortised.maps]
    for mine, by_hand in zip(guess, expected, strict=True):
        torch.testing.assert_close(mine, by_hand.detach())
    distances = [0.5 * PRECISION * (g - e).square().sum().item() for g, e in zip(guess, errors, strict=True)]
    assert rule.amortised.loss(asked, errors, errors, rule.laws).item() == pytest.approx(sum(distances))
    assert batch.target.shape == (6, 2)
    assert len(model.layers) == 2


@pytest.fixture
def rows():
    torch.manual_seed(0)
    model = mlp(MLP(hidden=(6, 5)), features=3, heads=density(GaussianNLL()).heads).double()
    batch = Batch(torch.randn(9, 3, dtype=torch.float64), torch.randn(9, dtype=torch.float64))
    return model, batch, objective(GaussianNLL())


def test_before_it_has_learned_weights_learn_as_from_a_forward_start(rows):
    model, batch, minimised = rows
    config = coding(iterations=3, precision=PredictedPrecision(initial=20.0))
    forward = config.model_copy(update={"start": "forward"})
    grads = []
    for of in (config, forward):
        teacher = learner(model, minimised, of).double()
        lesson = teacher(batch)
        parameters = [*model.parameters(), *teacher.rule.laws.parameters()]
        grads.append((*torch.autograd.grad(lesson.surrogate, parameters), lesson.loss, lesson.energy))
    assert all(torch.equal(one, other) for one, other in zip(*grads, strict=True))


def test_at_evaluation_there_is_no_guess(rows):
    """One forward pass, whatever the maps have learned; of the guess's parameters none is the network's."""
    model, batch, minimised = rows
    teacher = learner(model, minimised, coding()).double()
    for of in teacher.rule.amortised.maps:
        of.weight.data.normal_()
    teacher.eval()
    expected = minimised.negative_log_likelihood(model(batch.inputs), batch.target)
    torch.testing.assert_close(teacher(batch), expected, rtol=0, atol=0)
    assert not any("amortised" in name for name, _ in model.named_parameters())


def test_what_it_cannot_learn_from_is_refused():
    for settings in ({"settles": "incremental"}, {"iterations": 1, "gradient": "energy"}):
        with pytest.raises(
            ValueError, match=r"learning.start: amortised learns from errors that have settled"
        ):
            coding(**settings)
    with pytest.raises(ValueError, match=r"learning.start: amortised needs equally many places"):
        Amortised([(4, 8), (2, 8)])
