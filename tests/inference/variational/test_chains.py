"""Chains by associative scan against a sequential Kalman filter, the RTS smoother and a dense Gaussian posterior."""

import itertools

import pytest
import torch

from precisionflow.inference.variational.chains import Chain, filtered, log_evidence, scan, smoothed

STEPS = 40


def chain(state=2, observed=2, *, singular=False) -> Chain:
    torch.manual_seed(state + 10 * observed)
    turn = torch.randn(state, state, dtype=torch.float64)
    root = torch.randn(state, 1 if singular else state, dtype=torch.float64)
    noise = torch.randn(observed, observed, dtype=torch.float64)
    return Chain(
        transition=0.9 * torch.linalg.qr(turn).Q,
        noise=0.3 * root @ root.mT,
        observation=torch.randn(observed, state, dtype=torch.float64),
        observation_noise=noise @ noise.mT + 0.1 * torch.eye(observed),
        mean=torch.randn(state, dtype=torch.float64),
        covariance=2.0 * torch.eye(state),
    )


def data(of: Chain, steps=STEPS):
    torch.manual_seed(7)
    return 2 * torch.randn(steps, of.observed, dtype=torch.float64)


def at(matrix, t):
    return matrix if matrix.ndim == 2 else matrix[t]


def kalman(of: Chain, y, seen=None):
    """One step after the other: filtered and smoothed moments, and log p(y); what is not seen has no row."""
    means, covariances, ahead, log = [], [], [], 0.0
    mean, covariance = of.mean, of.covariance
    there = torch.ones_like(y, dtype=torch.bool) if seen is None else seen
    for t, (row, here) in enumerate(zip(y, there, strict=True)):
        if t:
            f = at(of.transition, t)
            mean, covariance = f @ means[-1], f @ covariances[-1] @ f.mT + at(of.noise, t)
        ahead.append((mean, covariance))
        if here.any():
            h = at(of.observation, t)[here]
            spread = h @ covariance @ h.mT + at(of.observation_noise, t)[here][:, here]
            log += torch.distributions.MultivariateNormal(h @ mean, spread).log_prob(row[here])
            gain = torch.linalg.solve(spread, h @ covariance).mT
            mean, covariance = mean + gain @ (row[here] - h @ mean), covariance - gain @ h @ covariance
        means.append(mean)
        covariances.append(covariance)
    back = [(means[-1], covariances[-1])]
    for t in reversed(range(len(y) - 1)):
        m, p = ahead[t + 1]
        gain = torch.linalg.solve(p, at(of.transition, t + 1) @ covariances[t]).mT
        later, spread = back[-1]
        back.append((means[t] + gain @ (later - m), covariances[t] + gain @ (spread - p) @ gain.mT))
    smooth = tuple(torch.stack(each) for each in zip(*reversed(back), strict=True))
    return (torch.stack(means), torch.stack(covariances)), smooth, log


def dense(of: Chain, y):
    """Joint Gaussian of all states and observations, by what each is a sum of; then conditioned."""
    steps, state = len(y), len(of.mean)
    through = torch.zeros(steps * state, steps * state, dtype=torch.float64)
    for t in range(steps):
        for s in range(t + 1):
            power = torch.linalg.matrix_power(of.transition, t - s)
            through[t * state : (t + 1) * state, s * state : (s + 1) * state] = power
    noise = torch.block_diag(of.covariance, *[of.noise] * (steps - 1))
    prior = through @ noise @ through.mT
    mean = through[:, :state] @ of.mean
    h = torch.block_diag(*[of.observation] * steps)
    seen = h @ prior @ h.mT + torch.block_diag(*[of.observation_noise] * steps)
    gain = torch.linalg.solve(seen, h @ prior).mT
    after, spread = mean + gain @ (y.flatten() - h @ mean), prior - gain @ h @ prior
    evidence = torch.distributions.MultivariateNormal(h @ mean, seen).log_prob(y.flatten())
    blocks = [spread[t * state : (t + 1) * state, t * state : (t + 1) * state] for t in range(steps)]
    return after.reshape(steps, state), torch.stack(blocks), evidence


@pytest.mark.parametrize("sizes", [(1, 1), (2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("singular", [False, True], ids=["", "singular noise"])
def test_filter_and_smoother_are_those_of_kalman_and_of_the_dense_posterior(sizes, singular):
    of = chain(*sizes, singular=singular)
    y = data(of)
    one, two, log = kalman(of, y)
    close = {"rtol": 0, "atol": 1e-10}
    for found, wanted in ((filtered(of, y), one), (smoothed(of, y), two)):
        for mine, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, **close)
    mean, covariance, evidence = dense(of, y)
    torch.testing.assert_close(smoothed(of, y).mean, mean, **close)
    torch.testing.assert_close(smoothed(of, y).covariance, covariance, **close)
    assert log_evidence(of, y).item() == pytest.approx(log.item(), rel=1e-12)
    assert log_evidence(of, y).item() == pytest.approx(evidence.item(), rel=1e-10)


def varying(of: Chain, steps=STEPS) -> Chain:
    """The same with other matrices at every time."""
    torch.manual_seed(3)
    each = torch.rand(steps, dtype=torch.float64)[:, None, None]
    return Chain(
        transition=(0.5 + each) * of.transition,
        noise=each * of.noise,
        observation=of.observation + each * torch.randn_like(of.observation),
        observation_noise=10.0 ** (4 * each - 2) * of.observation_noise,
        mean=of.mean,
        covariance=of.covariance,
    )


@pytest.mark.parametrize("gaps", [False, True], ids=["", "gaps"])
@pytest.mark.parametrize("change", [False, True], ids=["", "other at every time"])
@pytest.mark.parametrize("sizes", [(1, 1), (2, 2), (3, 2), (2, 3)])
def test_chains_that_change_and_observations_with_gaps(sizes, change, gaps):
    of = varying(chain(*sizes)) if change else chain(*sizes)
    y, seen = data(of), None
    if gaps:
        seen = torch.rand(y.shape) < 0.6
        seen[0], seen[5:9], seen[-1] = False, False, False
    one, two, log = kalman(of, y, seen)
    given = y if seen is None else torch.where(seen, y, torch.nan)
    for found, wanted in ((filtered(of, given, seen), one), (smoothed(of, given, seen), two)):
        for mine, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    assert log_evidence(of, given, seen).item() == pytest.approx(float(log), rel=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_gaps_at_every_scale(scale):
    """Numbers in another unit: states and observations times scale."""
    of = chain()
    y, seen = data(of), torch.rand(STEPS, 2) < 0.5
    squares = ("noise", "observation_noise", "covariance")
    other = Chain(
        **vars(of) | {name: scale**2 * vars(of)[name] for name in squares} | {"mean": scale * of.mean}
    )
    torch.testing.assert_close(
        smoothed(other, scale * y, seen).mean / scale, smoothed(of, y, seen).mean, rtol=1e-9, atol=1e-9
    )
    shift = int(seen.sum()) * torch.tensor(scale).log().item()
    assert log_evidence(other, scale * y, seen).item() == pytest.approx(
        log_evidence(of, y, seen).item() - shift
    )


def test_nothing_seen_is_the_prior():
    of = chain()
    nothing = torch.zeros(5, 2, dtype=torch.bool)
    found = filtered(of, torch.full((5, 2), torch.nan), nothing)
    torch.testing.assert_close(found.mean[1], of.transition @ of.mean)
    torch.testing.assert_close(found.covariance[0], of.covariance)
    assert log_evidence(of, torch.zeros(5, 2), nothing).item() == pytest.approx(0.0, abs=1e-12)


class Simulated:
    """Ranks one after the other, again and again until every sum has met all parts."""

    def __init__(self, count):
        self.count, self.index, self.parts, self.call = count, 0, {}, 0

    def sum(self, values):
        parts = self.parts.setdefault(self.call, {})
        parts[self.index] = values
        self.call += 1
        return sum(parts.values())

    def run(self, work):
        for _ in range(3):
            found = []
            for rank in range(self.count):
                self.index, self.call = rank, 0
                found.append(work(rank))
        return found


@pytest.mark.parametrize("change", [False, True], ids=["", "other at every time"])
@pytest.mark.parametrize("cuts", [(0, 1, 2, 40), (0, 13, 20, 39, 40)], ids=str)
def test_a_chain_that_is_cut_over_ranks_is_the_whole_one(cuts, change):
    """One sum over ranks for the moments of all, one more for the evidence."""
    of = varying(chain(3, 2)) if change else chain(3, 2)
    y, seen = data(of), torch.rand(STEPS, 2) < 0.7
    ranks, own = Simulated(len(cuts) - 1), [slice(*pair) for pair in itertools.pairwise(cuts)]

    def cut(at):
        each = {name: m[at] if m.ndim == 3 else m for name, m in vars(of).items()}
        return Chain(**each), y[at], seen[at]

    for asked in (filtered, smoothed):
        parts = ranks.run(lambda rank, asked=asked: asked(*cut(own[rank]), ranks=ranks))
        for whole, *of_ranks in zip(asked(of, y, seen), *parts, strict=True):
            torch.testing.assert_close(torch.cat(of_ranks), whole, rtol=1e-10, atol=1e-10)
        assert ranks.call == 1
    logs = ranks.run(lambda rank: log_evidence(*cut(own[rank]), ranks=ranks))
    assert [log.item() for log in logs] == pytest.approx(
        [log_evidence(of, y, seen).item()] * len(own), rel=1e-12
    )
    assert ranks.call == 2


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_any_number_of_steps(steps):
    of = chain()
    y = data(of, steps)
    one, two, log = kalman(of, y)
    torch.testing.assert_close(filtered(of, y).mean, one[0])
    torch.testing.assert_close(smoothed(of, y).covariance, two[1])
    assert log_evidence(of, y).item() == pytest.approx(log.item())


@pytest.mark.parametrize("count", range(1, 18))
def test_a_scan_is_every_product_from_the_first(count):
    """Products of matrices are associative and do not commute."""
    torch.manual_seed(count)
    each = torch.linalg.qr(torch.randn(count, 3, 3, dtype=torch.float64)).Q
    calls = []

    def product(a, b):
        calls.append(len(a[0]))
        return (a[0] @ b[0],)

    (found,) = scan(product, (each,))
    wanted = [each[0]]
    for matrix in each[1:]:
        wanted.append(wanted[-1] @ matrix)
    torch.testing.assert_close(found, torch.stack(wanted))
    assert sum(calls) < 2 * count
    assert len(calls) <= 2 * count.bit_length()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"noise": -torch.eye(2)}, "chain: noise: has to be symmetric and positive semidefinite"),
        (
            {"observation_noise": torch.zeros(2, 2)},
            "chain: observation_noise: has to be symmetric and positive definite",
        ),
        ({"covariance": torch.tensor([[1.0, 0.5], [0.0, 1.0]])}, "chain: covariance: has to be symmetric"),
        ({"transition": torch.eye(3)}, r"chain: transition has shape \(3, 3\), with a mean of 2 numbers"),
        ({"mean": torch.tensor([0.0, torch.nan])}, "chain: mean: has NaN or infinite numbers"),
        ({"covariance": torch.eye(2).expand(4, 2, 2)}, r"chain: covariance has shape \(4, 2, 2\)"),
        ({"observation": torch.zeros(2)}, r"chain: observation has shape \(2,\), it needs a matrix"),
        ({"mean": 0.0}, r"chain: mean has shape \(\), it needs a row of one number or more"),
        ({"mean": torch.zeros(2, 1)}, r"chain: mean has shape \(2, 1\), it needs a row"),
        ({"mean": torch.zeros(0)}, r"chain: mean has shape \(0,\), it needs a row"),
        (
            {"observation": torch.zeros(0, 2)},
            r"observation has shape \(0, 2\), it needs a matrix of one row or",
        ),
        ({"noise": torch.zeros(0, 2, 2)}, r"chain: noise has shape \(0, 2, 2\), with a mean of 2 numbers"),
        (
            {"transition": torch.eye(2).expand(4, 2, 2), "noise": torch.eye(2).expand(5, 2, 2)},
            "chain: matrices are of 4 and 5 times",
        ),
    ],
)
def test_what_is_no_chain_is_one_line(change, line):
    with pytest.raises(ValueError, match=line):
        Chain(**vars(chain()) | change)


@pytest.mark.parametrize("state", [1, 2, 3])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_states_known_without_error_are_smoothed_as_the_dense_posterior_has_them(state, share):
    """Where the first state is certain and noise is singular or none, covariances ahead have no inverse."""
    of = chain(state, 2, singular=True)
    certain = Chain(**vars(of) | {"noise": share * of.noise, "covariance": torch.zeros(state, state)})
    y = data(certain)
    mean, covariance, _ = dense(certain, y)
    found = smoothed(certain, y)
    torch.testing.assert_close(found.mean, mean, rtol=0, atol=1e-10)
    torch.testing.assert_close(found.covariance, covariance, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("y", "line"),
    [
        (torch.zeros(3, 5), r"have shape \(3, 5\), need one row or more of 2 numbers"),
        (torch.zeros(0, 2), "need one row or more"),
        (torch.full((3, 2), torch.nan), "observations: has NaN or infinite numbers"),
    ],
)
def test_what_are_no_observations_is_one_line(y, line):
    with pytest.raises(ValueError, match=line):
        smoothed(chain(), y)


def test_states_that_grow_beyond_float64_are_one_line():
    """Of 400 times in which a number grows by 10 and nothing of it is seen, until it is seen."""
    one, steps = torch.eye(1), 400
    of = Chain(10 * one, one, one, one, [0.0], one)
    y, seen = torch.ones(steps, 1), torch.zeros(steps, 1, dtype=torch.bool)
    for asked in (filtered, smoothed, log_evidence):
        with pytest.raises(ValueError, match="chain: what is known of its states is not finite: they grow"):
            asked(of, y, seen)
        found = asked(of, y)
        assert all(part.isfinite().all() for part in (found if asked is not log_evidence else [found]))


def test_what_is_seen_may_be_lists():
    of, seen = chain(2, 1), [[True], [False], [True]]
    y = [[1.0], [float("nan")], [2.0]]
    for mine, wanted in zip(smoothed(of, y, seen), smoothed(of, y, torch.tensor(seen)), strict=True):
        assert torch.equal(mine, wanted)


def test_times_and_masks_that_do_not_fit_are_one_line():
    of = varying(chain(), 4)
    with pytest.raises(ValueError, match="observations: are of 3 times, the chain's matrices of 4"):
        filtered(of, torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"seen: is torch.float32 of shape \(4, 2\); it needs true or false"):
        filtered(of, torch.zeros(4, 2), torch.ones(4, 2))
    with pytest.raises(ValueError, match=r"seen: is torch.bool of shape \(4,\); it needs true or false"):
        filtered(of, torch.zeros(4, 2), torch.ones(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="observations: has NaN or infinite numbers"):
        filtered(of, torch.full((4, 2), torch.nan), torch.ones(4, 2, dtype=torch.bool))
