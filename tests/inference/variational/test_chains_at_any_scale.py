"""Chains with vague priors, precise readings and unlike units, against a smoother of 60 decimal digits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch

from precisionflow.inference.variational.chains import Chain, filtered, log_evidence, smoothed

STEPS, INTERVAL = 25, 0.1


def target(*, noise=1.0, reading=1.0, prior=10.0, units=(1.0, 1.0)) -> Chain:
    """A place and its speed, each in a unit of its own; the place is read."""
    unit = torch.diag(torch.tensor(units, dtype=torch.float64))
    back = torch.linalg.inv(unit)
    f = torch.tensor([[1.0, INTERVAL], [0.0, 1.0]], dtype=torch.float64)
    q = torch.tensor([[INTERVAL**3 / 3, INTERVAL**2 / 2], [INTERVAL**2 / 2, INTERVAL]], dtype=torch.float64)
    return Chain(
        transition=unit @ f @ back,
        noise=noise * unit @ q @ unit,
        observation=torch.tensor([[1.0, 0.0]], dtype=torch.float64) @ back,
        observation_noise=torch.tensor([[reading]]),
        mean=torch.zeros(2),
        covariance=prior * unit @ unit,
    )


def readings(reading):
    torch.manual_seed(0)
    return reading**0.5 * torch.randn(STEPS, 1, dtype=torch.float64)


def decimals(matrix):
    return np.vectorize(Decimal, otypes=[object])(matrix.numpy())


def inverse(m):
    """By elimination: no pivot of a covariance is 0."""
    rows = np.concatenate([m, decimals(torch.eye(len(m)))], axis=1)
    for place in range(len(m)):
        rows[place] = rows[place] / rows[place, place]
        for other in set(range(len(m))) - {place}:
            rows[other] = rows[other] - rows[other, place] * rows[place]
    return rows[:, len(m) :]


def in_decimals(of: Chain, y, first=0):
    """(filtered, smoothed) means and covariances, and log p(y), of readings from time `first` on."""
    with localcontext() as context:
        context.prec = 60
        f, q, h, r = map(decimals, (of.transition, of.noise, of.observation, of.observation_noise))
        mean, covariance, log = decimals(of.mean), decimals(of.covariance), Decimal(0)
        now, ahead = [], []
        for t, row in enumerate(decimals(y)):
            if t:
                mean, covariance = f @ mean, f @ covariance @ f.T + q
            ahead.append((mean, covariance))
            if t < first:
                now.append((mean, covariance))
                continue
            spread = (h @ covariance @ h.T + r)[0, 0]
            away = (row - h @ mean)[0]
            log -= ((Decimal(2) * Decimal(np.pi) * spread).ln() + away * away / spread) / 2
            gain = (covariance @ h.T)[:, 0] / spread
            mean, covariance = mean + gain * away, covariance - np.outer(gain, h @ covariance)
            now.append((mean, covariance))
        later = [now[-1]]
        for (m, p), (m_ahead, p_ahead) in zip(now[-2::-1], ahead[:0:-1], strict=True):
            back = p @ f.T @ inverse(p_ahead)
            m_after, p_after = later[-1]
            later.append((m + back @ (m_after - m_ahead), p + back @ (p_after - p_ahead) @ back.T))
        return _floats(now), _floats(later[::-1]), float(log)


def _floats(moments):
    return tuple(np.array([each[part] for each in moments]).astype(float) for part in range(2))


def require_close(found, wanted):
    """Means in standard deviations, variances relatively."""
    variance = np.diagonal(wanted[1], axis1=1, axis2=2)
    away = np.abs(found.mean.numpy() - wanted[0]) / np.sqrt(variance)
    assert away.max() < 1e-8
    assert np.diagonal(found.covariance.numpy(), axis1=1, axis2=2) == pytest.approx(variance, rel=1e-8)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        *({"prior": prior} for prior in (1e4, 1e8, 1e12, 1e20)),
        *({"reading": reading} for reading in (1e-8, 1e-4, 1e6)),
        *({"noise": noise} for noise in (0.0, 1e-12, 1e-6, 1e8)),
        *({"units": units} for units in ((1e6, 1e-6), (1e-6, 1e6), (1e-6, 1e-6), (1e3, 1e6))),
        {"prior": 1e6, "reading": 1e-6, "noise": 1e-6},
    ],
    ids=str,
)
def test_moments_and_evidence_are_those_of_sixty_digits(settings):
    of, y = target(**settings), readings(settings.get("reading", 1.0))
    now, later, log = in_decimals(of, y)
    require_close(filtered(of, y), now)
    require_close(smoothed(of, y), later)
    assert log_evidence(of, y).item() == pytest.approx(log, rel=1e-9)


@pytest.mark.parametrize("state", [1, 3])
def test_other_widths_do_not_depend_on_units(state):
    torch.manual_seed(state)
    f = 0.9 * torch.linalg.qr(torch.randn(state, state, dtype=torch.float64)).Q
    h, y = torch.randn(1, state, dtype=torch.float64), torch.randn(STEPS, 1, dtype=torch.float64)
    found = []
    for powers in (torch.zeros(state), torch.linspace(-6, 6, state)):
        unit = torch.diag(10 ** powers.double())
        back = torch.linalg.inv(unit)
        of = Chain(
            unit @ f @ back, unit @ unit, h @ back, torch.eye(1), torch.zeros(state), 1e8 * unit @ unit
        )
        after = smoothed(of, y)
        found.append((after.mean @ back, back @ after.covariance @ back))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def late(states, prior, noise):
    """A place, its speed and so on, each begun vaguely; the place is read, but not at first."""
    f = torch.eye(states, dtype=torch.float64) + torch.diag(torch.ones(states - 1).double(), 1)
    eye = torch.eye(states, dtype=torch.float64)
    of = Chain(f, noise * eye, eye[:1], torch.eye(1), torch.zeros(states), prior * eye)
    y, seen = readings(1.0), torch.ones(STEPS, 1, dtype=torch.bool)
    seen[0] = False
    return of, y, seen


@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("noise", [1e-6, 1.0])
@pytest.mark.parametrize("prior", [1e4, 1e8, 1e12])
def test_vague_states_that_meet_in_one_reading_cost_digits_in_proportion(prior, noise, states):
    of, y, seen = late(states, prior, noise)
    _, (mean, covariance), _ = in_decimals(of, y, first=1)
    found, room = smoothed(of, y, seen), 1e-11 + 1e-15 * prior / noise**0.25
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    assert (np.abs(found.mean.numpy() - mean) / np.sqrt(variance)).max() < 5 * room
    assert np.diagonal(found.covariance.numpy(), axis1=1, axis2=2) == pytest.approx(variance, rel=room)


@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("noise", [1e-6, 1.0])
@pytest.mark.parametrize("prior", [1e16, 1e20, 1e40])
def test_no_prior_is_so_vague_that_there_is_no_answer(prior, noise, states):
    """Of which no digit is left: its covariances are some still."""
    of, y, seen = late(states, prior, noise)
    for of_time in (filtered(of, y, seen), smoothed(of, y, seen)):
        assert all(bool(part.isfinite().all()) for part in of_time)
        assert bool((of_time.covariance.diagonal(dim1=1, dim2=2) >= 0).all())


@pytest.mark.parametrize("vague", ["noise", "covariance"])
@pytest.mark.parametrize("scale", [1.0, 1e8, 1e16, 1e20, 1e40])
@pytest.mark.parametrize("missing", [0, 1])
def test_readings_of_one_place_are_their_mean_however_vague_it_is(vague, scale, missing):
    """R is rounded away beside H P H^T, which has no inverse then."""
    eye = torch.eye(2, dtype=torch.float64)
    both, y = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 1.25], [3.0, 3.5], [5.0, 5.25]])
    of = Chain(
        **{"transition": eye, "noise": eye, "mean": torch.zeros(2), "covariance": eye} | {vague: scale * eye},
        observation=both,
        observation_noise=eye,
    )
    one = Chain(**vars(of) | {"observation": both[:1], "observation_noise": eye[:1, :1] / 2})
    seen = torch.ones(3, 2, dtype=torch.bool)
    seen[:missing] = False
    apart = y[missing:].diff(dim=1).double()
    for asked in (filtered, smoothed):
        found, wanted = asked(of, y, seen), asked(one, y.mean(dim=1, keepdim=True), seen[:, :1])
        torch.testing.assert_close(found.mean[:, 0], wanted.mean[:, 0], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.covariance, wanted.covariance, rtol=1e-12, atol=1e-12)
    log = log_evidence(one, y.mean(dim=1, keepdim=True), seen[:, :1])
    log -= (apart.square() / 2 + np.log(4 * np.pi)).sum() / 2
    assert log_evidence(of, y, seen).item() == pytest.approx(log.item(), rel=1e-12)


def test_readings_of_almost_one_direction_tell_the_difference_they_are_apart():
    """Of vague x and y their sum and x + (1 + d) y are read: y is known to sqrt(2) / d."""
    apart, y = 1e-4, torch.tensor([[1.0, 1.25]] * 3)
    eye, both = (
        torch.eye(2, dtype=torch.float64),
        torch.tensor([[1.0, 1.0], [1.0, 1.0 + apart]], dtype=torch.float64),
    )
    for scale in (1e12, 1e16, 1e20, 1e30):
        vague = scale * (eye + 0.5 * eye.flip(0))
        found = filtered(Chain(eye, vague, both, eye, torch.zeros(2), vague), y)
        wanted = torch.linalg.inv(both.mT @ both + torch.linalg.inv(vague))
        torch.testing.assert_close(found.covariance, wanted.expand(3, 2, 2), rtol=1e-6, atol=0)
        assert found.mean[:, 1].tolist() == pytest.approx([0.25 / apart] * 3, rel=1e-3)
