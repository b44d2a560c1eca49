"""Generative predictive coding against the closed form of a linear Gaussian model, and what its states feel."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.distributions import MultivariateNormal

from precisionflow.config.learning import (
    FixedPrecision,
    GaussianLaw,
    GaussNewton,
    Gradient,
    LaplaceLaw,
    LearnedPrecision,
    MixtureLaw,
    Momentum,
    OfKind,
    PredictedPrecision,
    PredictiveCoding,
    StudentTLaw,
)
from precisionflow.config.networks import Generative as Config
from precisionflow.inference.predictive_coding.generative import Generative
from precisionflow.inference.predictive_coding.laplace import curvature
from precisionflow.inference.predictive_coding.settle import begun, settle
from precisionflow.models.networks.generative import generative
from precisionflow.training.batches import Batch
from precisionflow.training.rules.generative import GenerativeLearner

CLASSES, HIGH, LOW, PIXELS = 2, 3, 4, 6
PRIOR, PRECISION = 0.7, 2.0
SMOOTH = (GaussianLaw(), StudentTLaw(), MixtureLaw())
coding = partial(
    PredictiveCoding,
    precision=FixedPrecision(value=PRECISION),
    iterations=250,
    step_size=0.1,
    descent=Momentum(share=0.8),
)


def made(learning=None, **model) -> Generative:
    """class -> 3 -> 4 -> 6 pixels, in double precision; linear where nothing is said."""
    torch.manual_seed(0)
    learning = learning or coding()
    given = {"states": (HIGH, LOW), "activation": "identity", "prior": FixedPrecision(value=PRIOR)}
    config = Config(**given | {"iterations": learning.iterations} | model)
    network = generative(config, classes=CLASSES, pixels=PIXELS)
    return Generative(network, config, learning, pixels=PIXELS).double()


@pytest.fixture
def data():
    torch.manual_seed(1)
    classes = torch.tensor([0, 1, 1, 0, 1])
    return torch.randn(5, PIXELS, dtype=torch.float64), classes


def parts(model):
    """Class means, map from the high state to the low one and its offset, map to the image and its offset."""
    prior, middle = model.network.layers
    below = model.network.readout[1]
    return prior.weight, middle.weight, middle.bias, below.weight, below.bias


def joint(model, given):
    """Mean and covariance of high state, low state and image side by side, by what each is a sum of."""
    means, down, offset, to_image, image_offset = parts(model)
    high = means[given]
    low = high @ down.T + offset
    mean = torch.cat([high, low, low @ to_image.T + image_offset], dim=1)
    identity = partial(torch.eye, dtype=torch.float64)
    noise = torch.cat([torch.full((HIGH,), 1 / PRIOR), torch.full((LOW + PIXELS,), 1 / PRECISION)]).double()
    through = torch.zeros(HIGH + LOW + PIXELS, HIGH + LOW + PIXELS, dtype=torch.float64)
    through[:HIGH, :HIGH] = identity(HIGH)
    through[HIGH : HIGH + LOW, :HIGH] = down
    through[HIGH : HIGH + LOW, HIGH : HIGH + LOW] = identity(LOW)
    through[HIGH + LOW :] = torch.cat([to_image @ down, to_image, identity(PIXELS)], dim=1)
    return mean, through @ torch.diag(noise) @ through.T


def conditional(model, given, images, seen):
    """Mean of everything given the image's pixels at `seen`."""
    mean, covariance = joint(model, given)
    at = HIGH + LOW + torch.tensor(seen)
    gain = torch.linalg.solve(covariance[at][:, at], covariance[at]).T
    return mean + (images[:, seen] - mean[:, at]) @ gain.T


def evidence(model, images, given):
    """log p(image given class)."""
    mean, covariance = joint(model, given)
    of_image = covariance[HIGH + LOW :, HIGH + LOW :]
    return MultivariateNormal(mean[:, HIGH + LOW :], of_image).log_prob(images)


def states(inferred):
    """Settled states, the highest first."""
    high, low = inferred.errors
    predicted = inferred.clamped.passed(inferred.errors).predictions
    return torch.cat([predicted[0] + high, predicted[1] + low], dim=1).detach()


@pytest.mark.parametrize(
    "learning",
    [
        coding(),
        coding(settles="states", iterations=700),
        coding(start="zeros"),
    ],
    ids=["errors", "states", "zeros"],
)
def test_settled_states_are_the_mode_of_the_posterior(data, learning):
    model, (images, given) = made(learning), data
    inferred = model.infer(images, given)
    expected = conditional(model, given, images, list(range(PIXELS)))[:, : HIGH + LOW]
    torch.testing.assert_close(states(inferred), expected.detach(), rtol=1e-5, atol=1e-6)
    _, _, _, to_image, offset = parts(model)
    torch.testing.assert_close(inferred.image, expected[:, HIGH:] @ to_image.T + offset)


def test_the_free_energy_touches_the_evidence_at_the_settled_states_and_bounds_it_elsewhere(data):
    model, (images, given) = made(), data
    inferred = model.infer(images, given)
    exact = -evidence(model, images, given).detach()
    torch.testing.assert_close(inferred.free_energies.detach(), exact)
    torch.manual_seed(2)
    for far in (1e-3, 0.1, 1.0):
        elsewhere = [error + far * torch.randn_like(error) for error in inferred.errors]
        above = model.free_energies(inferred.clamped, elsewhere).detach() - exact
        assert (above > 0).all()
        assert (above < 100 * far**2).all()


def test_the_energy_is_the_joint_density_of_states_and_image(data):
    """And it is the free energy where beliefs are the settled states alone."""
    model, (images, given) = made(beliefs="mode"), data
    inferred = model.infer(images, given)
    mean, covariance = joint(model, given)
    exact = MultivariateNormal(mean, covariance).log_prob(torch.cat([states(inferred), images], dim=1))
    torch.testing.assert_close(inferred.free_energies, -exact)


def test_a_missing_half_is_completed_by_its_conditional_mean(data):
    """What stands at pixels that are not seen makes no difference, not even where it is no number."""
    model, (images, given) = made(), data
    seen = torch.zeros_like(images)
    seen[:, :3] = 1
    inferred = model.infer(torch.where(seen > 0, images, torch.nan), given, seen=seen)
    expected = conditional(model, given, images, [0, 1, 2])
    torch.testing.assert_close(states(inferred), expected[:, : HIGH + LOW].detach())
    torch.testing.assert_close(inferred.image[:, 3:], expected[:, HIGH + LOW + 3 :].detach())
    mean, covariance = joint(model, given)
    known, lost = slice(HIGH + LOW, HIGH + LOW + 3), slice(HIGH + LOW + 3, None)
    explained = covariance[lost, known] @ torch.linalg.solve(
        covariance[known, known], covariance[known, lost]
    )
    variance = (covariance[lost, lost] - explained).diagonal().detach().expand(5, -1)
    torch.testing.assert_close(model.predicted_variance(inferred)[:, 3:], variance)
    error = (images - expected[:, HIGH + LOW :])[:, 3:].detach()
    torch.testing.assert_close(
        model.pit(inferred, images)[:, 3:], torch.special.ndtr(error / variance.sqrt())
    )
    half = slice(HIGH + LOW, HIGH + LOW + 3)
    exact = MultivariateNormal(mean[:, half], covariance[half, half]).log_prob(images[:, :3])
    torch.testing.assert_close(inferred.free_energies, -exact)


@pytest.mark.parametrize("precision", [0.01, 4.0])
@pytest.mark.parametrize("law", [*SMOOTH, LaplaceLaw(), StudentTLaw(degrees_of_freedom=1.5)], ids=repr)
def test_pixels_drawn_from_the_images_own_law_lie_in_its_intervals(law, precision):
    """Where the states are certain."""
    learning = coding(law=law, precision=FixedPrecision(value=precision), iterations=1)
    model = made(learning, beliefs="mode")
    images, classes = torch.zeros(4000, PIXELS, dtype=torch.float64), torch.arange(4000) % CLASSES
    inferred = model.infer(images, classes)
    drawn = inferred.image + draws(law, np.random.default_rng(3), images.shape) / math.sqrt(precision)
    pit = model.pit(inferred, drawn)
    for level in (0.5, 0.9, 0.95):
        inside = ((pit - 0.5).abs() <= level / 2).double().mean().item()
        assert inside == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / pit.numel()))


def draws(law, random: np.random.Generator, shape) -> torch.Tensor:
    """Errors of precision 1."""
    match law:
        case GaussianLaw():
            errors = random.normal(size=shape)
        case LaplaceLaw():
            errors = random.laplace(scale=math.sqrt(0.5), size=shape)
        case StudentTLaw():
            errors = random.standard_t(law.degrees_of_freedom, size=shape)
        case _:
            wide = random.random(shape) < law.shares[0]
            errors = random.normal(size=shape) * np.where(wide, law.ratios[0] ** -0.5, 1.0)
    return torch.from_numpy(errors)


def test_the_image_of_the_highest_state_has_no_error_below_it(data):
    model, (images, given) = made(), data
    inferred = model.infer(images, given)
    _, down, offset, to_image, image_offset = parts(model)
    high = states(inferred)[:, :HIGH]
    expected = (high @ down.T + offset) @ to_image.T + image_offset
    torch.testing.assert_close(model.from_the_top(inferred), expected)
    assert (expected - inferred.image).abs().max() > 0.1


@pytest.mark.parametrize("felt", ["above", "below"])
def test_a_state_feels_the_error_above_and_the_error_below(data, felt):
    """One step on the states: ds = -rate (precision e - W^T precision e'), e its own error and e' the image's."""
    model = made(coding(settles="states", iterations=1, descent=Gradient()))
    _, given = data
    _, down, _, to_image, offset = (of.detach() for of in parts(model))
    own, image_error = torch.zeros(5, LOW).double(), torch.zeros(5, PIXELS).double()
    (own if felt == "above" else image_error)[:] = 0.3
    high, zero = parts(model)[0].detach()[given], torch.zeros(5, HIGH).double()
    low = high @ down.T + parts(model)[2].detach() + own
    clamped = model.clamped(low @ to_image.T + offset + image_error, given)
    start = clamped.passed([zero, own])
    settled = settle(clamped, start, model.laws, config=model.learning, steps=1)
    moved = [
        low_or_high - before
        for low_or_high, before in zip(_states(clamped, settled), (high, low), strict=True)
    ]
    rate = model.learning.step_size
    pulled = PRECISION * own - PRECISION * image_error @ to_image
    torch.testing.assert_close(moved[1], -rate / PRECISION * pulled)
    torch.testing.assert_close(moved[0], rate / PRIOR * PRECISION * own @ down)
    assert moved[1].abs().min() > 1e-3


def _states(clamped, settled):
    passed = clamped.passed(settled.errors)
    return [(p + e).detach() for p, e in zip(passed.predictions, passed.errors, strict=True)]


@pytest.mark.parametrize("law", SMOOTH, ids=lambda law: law.kind)
@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_the_energy_falls_at_every_step_below_the_bound(data, law, activation):
    """2 / (1 + h / curvature), h the largest curvature of the image's loss in the errors at any states.

    With s the low state, loss'' = W^T p W in s, with tanh at most that and p abs(image error)^T abs(W) max abs(tanh'').
    """
    learning = coding(law=law, iterations=40, descent=Gradient())
    model, (images, given) = made(learning, beliefs="mode", activation=activation), data
    _, down, _, to_image, offset = (of.detach() for of in parts(model))
    curvature, images = float(model.image_law.curvature(images).max()), 3 * images
    in_low = curvature * torch.linalg.matrix_norm(to_image, 2) ** 2
    if activation == "tanh":
        largest_error = images.abs() + offset.abs() + to_image.abs().sum(dim=1)
        in_low = in_low + 0.77 * curvature * (largest_error @ to_image.abs()).max()
    largest = float(in_low * (1 + torch.linalg.matrix_norm(down, 2) ** 2))
    config = learning.model_copy(update={"step_size": 0.95 * 2 / (1 + largest / PRIOR)})
    clamped = model.clamped(images, given)
    settled = settle(clamped, begun(clamped, config, made).start, model.laws, config=config, steps=40)
    energies = torch.stack(settled.energies)
    assert (energies.diff() <= 1e-9).all()
    assert energies[-1] < energies[0] - 1


def test_one_step_of_gauss_newton_settles_a_linear_network(data):
    model, (images, given) = made(coding(iterations=1, step_size=1.0, descent=GaussNewton())), data
    inferred = model.infer(images, given)
    expected = conditional(model, given, images, list(range(PIXELS)))[:, : HIGH + LOW]
    torch.testing.assert_close(states(inferred), expected.detach())


def test_gauss_newton_settles_a_curved_network_where_a_long_descent_does(data):
    images, given = 0.3 * data[0], data[1]
    slow = made(coding(iterations=250), activation="tanh").infer(images, given)
    newton = coding(iterations=40, step_size=1.0, descent=GaussNewton())
    fast = made(newton, activation="tanh").infer(images, given)
    torch.testing.assert_close(fast.errors, slow.errors, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(fast.free_energies, slow.free_energies)


def test_a_step_of_gauss_newton_is_halved_where_the_energy_would_rise(data, monkeypatch):
    """Of step size 3 every step overshoots; halved once or more often it falls, of every image by itself."""
    newton = coding(iterations=8, step_size=3.0, descent=GaussNewton())
    model, (images, given) = made(newton, activation="tanh", beliefs="mode"), data
    clamped = model.clamped(images, given)
    energies = [clamped.energies(clamped.passed(), model.laws).detach()]
    for steps in (1, 2, 8):
        found = settle(clamped, clamped.passed(), model.laws, config=newton, steps=steps)
        energies.append(clamped.energies(clamped.passed(found.errors), model.laws).detach())
    assert (torch.stack(energies).diff(dim=0) < 0).all()
    monkeypatch.setattr("precisionflow.inference.predictive_coding.descent.HALVINGS", 0)
    found = settle(clamped, clamped.passed(), model.laws, config=newton, steps=8)
    torch.testing.assert_close(clamped.energies(clamped.passed(found.errors), model.laws), energies[0])


def test_an_image_whose_curvature_has_no_root_stays_and_has_no_volume(data, monkeypatch):
    """No rank of several ends alone in the factorisation: the energy or the loss tells it of all of them."""
    newton = coding(iterations=2, step_size=1.0, descent=GaussNewton())
    model, (images, given) = made(newton, activation="tanh"), data

    def broken(*arguments):
        found = curvature(*arguments)
        signs = torch.where(torch.arange(len(found)) == 2, -1.0, 1.0)
        return signs[:, None, None] * found

    monkeypatch.setattr("precisionflow.inference.predictive_coding.descent.curvature", broken)
    monkeypatch.setattr("precisionflow.inference.predictive_coding.laplace.curvature", broken)
    inferred = model.infer(images, given)
    moved = torch.cat(inferred.errors, dim=1).abs().sum(dim=1) > 0
    assert moved.tolist() == [True, True, False, True, True]
    assert inferred.free_energies.isnan().tolist() == [False, False, True, False, False]


def test_a_guess_by_the_exact_map_settles_a_linear_model(data):
    """e = -H^-1 J^T g, g = dLoss/ds of the lowest state of the forward pass and J the derivative of that state by e."""
    model, (images, given) = made(coding(start="amortised", iterations=1)), data
    clamped = model.clamped(images, given)
    errors = [torch.zeros(5, width, dtype=torch.float64) for width in (HIGH, LOW)]
    inverse = torch.linalg.inv(curvature(clamped, errors, model.laws)[0].detach())
    through = torch.cat([parts(model)[1], torch.eye(LOW, dtype=torch.float64)], dim=1)
    maps = (inverse @ through.T).split([HIGH, LOW])
    for mine, exact, precision in zip(model.amortised.maps, maps, (PRIOR, PRECISION), strict=True):
        mine.weight.data.copy_(precision * exact)
    start = begun(clamped, model.learning, model.laws, model.amortised).start
    expected = conditional(model, given, images, list(range(PIXELS)))[:, : HIGH + LOW]
    guessed = torch.cat([p + e for p, e in zip(start.predictions, start.errors, strict=True)], dim=1)
    torch.testing.assert_close(guessed, expected)
    exact = -evidence(model, images, given)
    torch.testing.assert_close(model.infer(images, given).free_energies, exact)


def test_the_guess_of_an_image_is_of_its_own_pixels_and_of_the_class_that_it_settles_under(data):
    """Other images make no difference, nor what stands at pixels that are not seen."""
    model, (images, given) = made(coding(start="amortised", iterations=2, descent=Gradient())), data
    for of in model.amortised.maps:
        of.weight.data.normal_()
    seen = torch.zeros_like(images)
    seen[:, :3] = 1
    hidden = torch.where(seen > 0, images, torch.nan)
    whole, part = model.infer(images, given), model.infer(hidden, given, seen=seen)
    for inferred, shown in ((whole, {}), (part, {"seen": seen[:1]})):
        alone = model.infer((images if not shown else hidden)[:1], given[:1], **shown)
        torch.testing.assert_close(alone.free_energies, inferred.free_energies[:1])
        other = model.infer((images if not shown else hidden)[:1], 1 - given[:1], **shown)
        assert (other.errors[1] - alone.errors[1]).abs().max() > 1e-3


def test_the_guess_is_kept_with_the_weights_where_there_is_one():
    """As laws are: a model that is read again settles from it."""
    assert {name for name in made(coding(start="amortised")).state_dict() if "amortised" in name} == {
        "amortised.maps.0.weight",
        "amortised.maps.1.weight",
    }
    assert not any("amortised" in name for name in made().state_dict())


def test_a_precision_on_its_way_is_kept_with_the_weights_and_left_alone_by_a_record(data):
    """A model is read again, and validated, at the precision of its own step."""
    learning, (images, given) = coding(precision=FixedPrecision(value=1.0, last=16.0)), data
    model, again = made(learning), made(learning)
    learner = GenerativeLearner(model)
    learner(Batch(given, images, progress=0.25))
    assert model.image_law.precision(images).item() == pytest.approx(2.0)
    learner.monitored(Batch(given, images, progress=0.75), step=1)
    assert model.image_law.precision(images).item() == pytest.approx(2.0)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(
        again.infer(images, given).free_energies, model.infer(images, given).free_energies
    )


@pytest.fixture(scope="module")
def taught_digits():
    """A model of digits that has learned for 200 steps, its guess with it, and images that it has not seen."""
    images, classes = (torch.from_numpy(of) for of in load_digits(return_X_y=True))
    images = (images - images.mean()) / images.std()
    torch.manual_seed(0)
    learning = coding(start="amortised", iterations=10, descent=Gradient(), step_size=0.05)
    network = generative(Config(states=(6, 10)), classes=10, pixels=64)
    model = Generative(network, Config(states=(6, 10), iterations=10), learning, pixels=64).double()
    learner, optimiser = GenerativeLearner(model), torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(200):
        rows = slice(64 * (step % 20), 64 * (step % 20 + 1))
        optimiser.zero_grad()
        learner(Batch(classes[rows].long(), images[rows])).surrogate.backward()
        optimiser.step()
    return model, images[1300:], classes[1300:].long()


def test_a_learned_guess_settles_unseen_digits_in_fewer_iterations_than_other_starts(taught_digits):
    """To what 10 iterations from the forward pass come to, and the energy falls at every one of them."""
    model, images, given = taught_digits
    clamped, energies = model.clamped(images, given), {}
    for start in ("forward", "zeros", "amortised"):
        config = PredictiveCoding.model_validate(
            model.learning.model_dump() | {"start": start, "iterations": 40, "step_size": 0.02}
        )
        at = begun(clamped, config, model.laws, model.amortised).start
        found = settle(clamped, at, model.laws, config=config, steps=40)
        energies[start] = torch.stack(found.energies)
        assert (energies[start].diff() < 0).all(), start
    reached = {
        start: int((of <= energies["forward"][10]).nonzero()[0])
        if (of <= energies["forward"][10]).any()
        else 41
        for start, of in energies.items()
    }
    assert reached["amortised"] <= 5, reached
    assert reached["zeros"] > reached["amortised"], reached
    assert energies["amortised"][0] < energies["forward"][0]


def lesson(model, images, given):
    return GenerativeLearner(model)(Batch(given, images))


def test_a_lesson_is_the_gradient_of_the_evidence(data):
    """Of every weight and every precision, the local gradient at the settled states with that of the spread."""
    learned = LearnedPrecision(initial=PRECISION, lowest=0.1, highest=100.0, per="channel")
    prior = LearnedPrecision(initial=PRIOR, lowest=0.1, highest=100.0)
    model, (images, given) = made(coding(precision=learned), prior=prior), data
    lesson(model, images, given).surrogate.backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    exact = -evidence(model, images, given).sum() / images.numel()
    for parameter in model.parameters():
        parameter.grad = None
    exact.backward()
    for name, parameter in model.network.named_parameters():
        torch.testing.assert_close(found[f"network.{name}"], parameter.grad, rtol=1e-6, atol=1e-9)


def test_evaluation_gives_the_free_energies(data):
    model, (images, given) = made(), data
    with torch.no_grad():
        found = GenerativeLearner(model).eval()(Batch(given, images))
    torch.testing.assert_close(found, -evidence(model, images, given))


@pytest.mark.parametrize("beliefs", ["laplace", "mode"])
def test_the_loss_of_a_lesson_is_what_validation_measures(data, beliefs):
    """The free energy of a pixel; with a learned precision that has left its initial value too."""
    learned = LearnedPrecision(initial=PRECISION, lowest=0.1, highest=100.0)
    model, (images, given) = made(coding(precision=learned), beliefs=beliefs), data
    with torch.no_grad():
        next(model.image_law.parameters()).add_(0.7)
        validated = GenerativeLearner(model).eval()(Batch(given, images))
    told = lesson(model, images, given).loss
    assert not told.requires_grad
    torch.testing.assert_close(told, validated.sum() / images.numel())


@pytest.mark.parametrize("beliefs", ["laplace", "mode"])
def test_the_learned_precision_is_that_of_the_noise(beliefs):
    """With beliefs about the states; the settled states alone take part of the noise for signal.

    Of P pixels and D states the errors have (P - D) / P of the noise's variance.
    """
    noise, count, hidden = 0.5, 3000, 2
    torch.manual_seed(0)
    down = torch.linalg.qr(torch.randn(PIXELS, hidden, dtype=torch.float64)).Q
    images = 2 * torch.randn(count, hidden).double() @ down.T + noise * torch.randn(count, PIXELS).double()
    given = torch.zeros(count, dtype=torch.int64)
    learning = coding(
        precision=LearnedPrecision(initial=1.0, lowest=0.01, highest=100.0),
        iterations=1,
        step_size=1.0,
        descent=GaussNewton(),
    )
    model = made(learning, states=(hidden,), beliefs=beliefs, prior=FixedPrecision(value=1.0))
    learner = GenerativeLearner(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(120):
        optimiser.zero_grad()
        learner(Batch(given, images)).surrogate.backward()
        optimiser.step()
    found = float(model.image_law.precision(images).detach())
    expected = noise**-2 if beliefs == "laplace" else noise**-2 * PIXELS / (PIXELS - hidden)
    assert found == pytest.approx(expected, rel=0.05)


def test_a_precision_that_the_class_predicts_enters_the_free_energy(data):
    """The prior of class 1 is narrower: checked against a model whose prior has this precision for all."""
    prior = PredictedPrecision(initial=PRIOR, lowest=0.01, highest=100.0)
    model, (images, given) = made(prior=prior), data
    with torch.no_grad():
        model.laws[0].precision.bias.fill_(0.4 * HIGH)
    stated = float(model.laws[0].precision(torch.zeros(1, HIGH).double()).detach())
    assert stated > 1.1 * PRIOR
    same = made(prior=FixedPrecision(value=stated))
    same.network.load_state_dict(model.network.state_dict())
    torch.testing.assert_close(
        model.infer(images, given).free_energies, same.infer(images, given).free_energies
    )


def test_an_image_that_teaches_nothing_settles_as_long_as_the_model_says(data):
    images, given = data
    once, twice = (made(coding(iterations=steps), iterations=2).infer(images, given) for steps in (1, 2))
    torch.testing.assert_close(once.errors, twice.errors)
    other = made(coding(iterations=2), iterations=1).infer(images, given)
    assert (once.errors[0] - other.errors[0]).abs().max() > 1e-3


def test_what_is_seen_of_a_lesson_is_its_settling(data):
    """Energies of the two states and of the image: in sum those of settling, from start to end."""
    model, (images, given) = made(coding(iterations=3, descent=GaussNewton(), step_size=1.0)), data
    seen = GenerativeLearner(model).monitored(Batch(given, images), step=7)
    settled = settle(
        clamped := model.clamped(images, given),
        begun(clamped, model.learning, model.laws).start,
        model.laws,
        config=model.learning,
        steps=3,
    )
    assert [row.layer for row in seen.layers] == [0, 1, 2]
    totals = [sum(energies) for energies in zip(*(row.energy for row in seen.layers), strict=True)]
    assert totals[0] == pytest.approx(float(settled.energies[0]) / images.numel())
    assert totals[-1] < totals[0]
    assert seen.iterations == 3
    assert [row.errors for row in seen.layers] == [5 * HIGH, 5 * LOW, 5 * PIXELS], "pixels have a law too"
    off = images - model.clamped(images, given).passed(settled.errors).output.detach()
    assert seen.layers[2].dispersion == pytest.approx(PRECISION * float(off.square().mean()))


def test_the_gradient_that_is_compared_is_the_lessons_own(data):
    """With beliefs `laplace` the weights learn from the spread too; backprop is that of the class's own image."""
    model, (images, given) = made(coding(iterations=3), beliefs="laplace"), data
    learner, batch = GenerativeLearner(model), Batch(given, images)
    weights = list(model.network.parameters())
    own = model.losses(model.network(given), images).sum()
    mine, other = (
        torch.cat([each.flatten() for each in torch.autograd.grad(of, weights)])
        for of in (learner(batch).surrogate, own)
    )
    expected = torch.cosine_similarity(mine, other, dim=0).item()
    assert learner.monitored(batch, step=7).cosine == pytest.approx(expected)


@pytest.mark.parametrize(
    "precision",
    [
        FixedPrecision(value=1.0, last=16.0),
        LearnedPrecision(initial=PRECISION, lowest=0.1, highest=100.0, per="channel"),
        PredictedPrecision(initial=PRECISION, lowest=0.1, highest=100.0),
    ],
    ids=lambda of: of.kind,
)
def test_a_record_tells_the_precision_of_the_images_law(data, precision):
    """The geometric mean over images and pixels that are seen, twice the sums on two ranks of the same images."""
    own = {"image": OfKind(precision=precision)}
    model, (images, given) = made(coding(by_layer=own, iterations=3), beliefs="mode"), data
    with torch.no_grad():
        for parameter in model.image_law.parameters():
            parameter.normal_(std=3.0)
    factors = (torch.rand(images.shape, dtype=torch.float64) > 0.3).double()
    learner = GenerativeLearner(model, total=lambda sums: 2 * sums)
    record = learner.monitored(Batch(given, images, progress=0.5, counts=factors), step=7)
    *states, output = record.layers
    assert [len(row.precision) for row in states] == [1, 1]
    model.image_law.advance(0.5)
    clamped = model.clamped(images, given, seen=factors)
    start = begun(clamped, model.learning, model.laws).start
    settled = settle(clamped, start, model.laws, config=model.learning, steps=3)
    at = model.image_law.precision(clamped.passed(settled.errors).output).expand_as(images)
    (told,) = output.precision
    assert told == pytest.approx(at[factors > 0].log().mean().exp().item(), rel=1e-6)
    entries = {name: value for _, name, value in record.entries(7)}
    assert entries["precision_output"] == pytest.approx(told)
    assert (output.error_norm, output.quadratic_energy) == ([], [])


@pytest.mark.parametrize(
    ("states", "layers", "expected"),
    [
        ((3,), None, [50.0]),
        ((3, 4), None, [50.0, 25.0]),
        ((3, 4), (0,), [50.0]),
        ((3, 4, 5), None, [50.0, 25.0, 12.5]),
        ((3, 4, 5), (0, 2), [50.0, 25.0]),
    ],
)
def test_growth_counts_the_errors_from_the_highest_state_to_the_image(states, layers, expected):
    """100 times 0.5 for each error before it, whatever states without one lie between them."""
    precision = FixedPrecision(value=100.0, growth=0.5)
    model = made(coding(precision=precision, layers=layers), states=states)
    at = torch.zeros(1)
    assert model.laws[0].precision(at).item() == pytest.approx(PRIOR)
    assert [law.precision(at).item() for law in (*model.laws.each[1:], model.image_law)] == expected
    raised = FixedPrecision(value=100.0, growth=0.5, raised=(len(expected),))
    again = made(coding(precision=raised, layers=layers), states=states)
    assert again.image_law.precision(at).item() == 10 * expected[-1]


def test_a_raised_layer_that_does_not_exist_is_refused():
    """The highest state has the precision of model.prior; the image is the layer behind all states."""
    made(coding(precision=FixedPrecision(value=PRECISION, raised=(1, 2))))
    made(prior=FixedPrecision(value=PRIOR, raised=(0,)))
    for layer in (0, 3):
        with pytest.raises(
            ValueError, match=rf"^learning.precision.raised: there is no layer {layer} .* are 1, 2$"
        ):
            made(coding(precision=FixedPrecision(value=PRECISION, raised=(layer,))))
    with pytest.raises(ValueError, match=r"^model.prior.raised: there is no layer 1 .* are 0$"):
        made(prior=FixedPrecision(value=PRIOR, raised=(1,)))
