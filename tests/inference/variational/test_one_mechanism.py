"""Predictive coding's settling and message passing are one mechanism: the same free energy, slopes and minimum."""

import pytest
import torch

from precisionflow.config.learning import FixedPrecision, Momentum, PredictiveCoding
from precisionflow.config.networks import Generative as Config
from precisionflow.inference.predictive_coding.generative import Generative
from precisionflow.inference.variational import GaussianVector, Model, infer, linear, normal
from precisionflow.inference.variational.elbo import energy, free_energy, sum_of
from precisionflow.inference.variational.exact import Point, exact
from precisionflow.models.networks.generative import generative

CLASSES, HIGH, LOW, PIXELS, IMAGES = 2, 3, 4, 6, 5
PRIOR, PRECISION = 0.7, 2.0


@pytest.fixture
def network() -> Generative:
    """class -> 3 -> 4 -> 6 pixels, every map linear."""
    torch.manual_seed(0)
    learning = PredictiveCoding(
        precision=FixedPrecision(value=PRECISION), iterations=400, step_size=0.1, descent=Momentum(share=0.8)
    )
    config = Config(
        states=(HIGH, LOW), activation="identity", prior=FixedPrecision(value=PRIOR), iterations=400
    )
    made = generative(config, classes=CLASSES, pixels=PIXELS)
    return Generative(made, config, learning, pixels=PIXELS).double()


@pytest.fixture
def data():
    torch.manual_seed(1)
    return torch.randn(IMAGES, PIXELS, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1])


def maps(network):
    prior, middle = network.network.layers
    below = network.network.readout[1]
    each = prior.weight, middle.weight, middle.bias, below.weight, below.bias
    return [parameter.detach() for parameter in each]


def states_model(network, images, classes):
    """The same densities, one variable for each layer: N(M c, 1 / prior), N(W s + b, ...) twice."""
    means, down, offset, to_image, image_offset = maps(network)
    eye = torch.eye
    model = Model()
    high = model.latent(GaussianVector.of(means[classes], PRIOR * eye(HIGH)))
    low = model.latent(normal(linear((down, high), offset=offset), PRECISION * eye(LOW)))
    model.observe(normal(linear((to_image, low), offset=image_offset), PRECISION * eye(PIXELS)), images)
    return model


def errors_model(network, images, classes):
    """The same, one variable for the errors of all layers: the mean of the image is linear in them."""
    means, down, offset, to_image, image_offset = maps(network)
    precision = torch.diag(torch.tensor([PRIOR] * HIGH + [PRECISION] * LOW).double())
    model = Model()
    errors = model.latent(GaussianVector.of(torch.zeros(IMAGES, HIGH + LOW), precision))
    predicted = (means[classes] @ down.T + offset) @ to_image.T + image_offset
    through = torch.cat([to_image @ down, to_image], dim=1)
    mean = linear((through, errors), offset=predicted)
    model.observe(normal(mean, PRECISION * torch.eye(PIXELS)), images)
    return model


def settled_states(inferred):
    predictions = inferred.clamped.passed(inferred.errors).predictions
    return [(p + e).detach() for p, e in zip(predictions, inferred.errors, strict=True)]


def test_settled_states_are_the_means_of_the_beliefs(network, data):
    inferred, model = network.infer(*data), states_model(network, *data)
    found = infer(model, tolerance=1e-15, iterations=2000)
    for variable, state in zip(model.variables, settled_states(inferred), strict=True):
        torch.testing.assert_close(found[variable].mean, state, rtol=1e-6, atol=1e-6)


def test_with_all_errors_as_one_variable_the_free_energy_is_the_evidence_in_both(network, data):
    inferred, model = network.infer(*data), errors_model(network, *data)
    found = infer(model)
    (errors,) = model.variables
    torch.testing.assert_close(found[errors].mean, torch.cat(inferred.errors, dim=1), rtol=1e-6, atol=1e-6)
    f = inferred.free_energies.sum().item()
    assert -found.elbo == pytest.approx(f, rel=1e-8)
    assert -exact(model).log_evidence.item() == pytest.approx(-found.elbo, rel=1e-12)
    assert -exact(states_model(network, *data)).log_evidence.item() == pytest.approx(-found.elbo, rel=1e-12)


def test_the_free_energy_of_beliefs_of_layers_is_above_by_what_they_leave_out(network, data):
    """Beliefs that are independent between layers miss their correlation: 1/2 log of a ratio of determinants."""
    inferred, model = network.infer(*data), states_model(network, *data)
    found, known = infer(model, tolerance=1e-15, iterations=2000), exact(model)
    blocks = sum(torch.logdet(found[x].natural[1]).expand(x.plates).sum() for x in model.variables)
    gap = 0.5 * (blocks - torch.logdet(known.precision))
    assert gap > 0.1
    assert -found.elbo - inferred.free_energies.sum().item() == pytest.approx(gap.item(), rel=1e-6)


def test_slopes_in_the_means_are_errors_from_below_less_errors_of_the_own_prediction(network, data):
    """dF / d mean of any beliefs is dE / d state of predictive coding at these states."""
    images, classes = data
    torch.manual_seed(2)
    states = [torch.randn(IMAGES, width, dtype=torch.float64) for width in (HIGH, LOW)]
    clamped = network.clamped(images, classes)
    passed = clamped.at_states(states)
    of_coding = torch.autograd.grad(clamped.energy(passed, network.laws), passed.variables)

    model = states_model(network, images, classes)
    means = [state.clone().requires_grad_() for state in states]
    widths = dict(zip(model.variables, (HIGH, LOW), strict=True))
    beliefs = {
        x: GaussianVector((3.0 * mean, 3.0 * torch.eye(width).double()))
        for (x, width), mean in zip(widths.items(), means, strict=True)
    }
    of_beliefs = torch.autograd.grad(free_energy(model, beliefs), means)
    for one, two in zip(of_coding, of_beliefs, strict=True):
        torch.testing.assert_close(one, two)

    certain = {x: Point(GaussianVector, state) for x, state in zip(model.variables, states, strict=True)}
    whole = sum_of(energy(factor, certain) for factor in model.factors)
    torch.testing.assert_close(whole, clamped.energies(passed, network.laws).sum().detach())
