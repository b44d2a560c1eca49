"""Synthetic sources: what the exact predictor states against enumeration, closed forms and frequencies."""

import itertools
import math

import numpy as np
import pytest

from precisionflow.config.synthetic import Brackets, Copying, Cueing, Ngrams, Recall, Urns
from precisionflow.data.sources.synthetic import open_synthetic
from precisionflow.data.sources.synthetic.unifilar import brackets, ngrams
from precisionflow.records.schemas import NOT_COUNTED

CHAINS = [
    (ngrams, Ngrams(symbols=3, order=2, length=5, concentration=0.7)),
    (brackets, Brackets(types=2, depth=2, length=6, opening=0.4)),
]
EVERY = [
    Copying(delay=2, shortest=3, length=6, test_length=9),
    Ngrams(),
    Brackets(),
    Urns(classes=3),
    Recall(),
    Cueing(),
]


def draws(source, rows=2000, *, test=False, seed=0):
    return open_synthetic(source).draw(rows, np.random.default_rng(seed), test)


@pytest.mark.parametrize(("chain", "source"), CHAINS)
@pytest.mark.parametrize("outliers", [0.0, 0.3])
def test_the_filter_states_what_enumeration_of_all_hidden_sequences_states(chain, source, outliers):
    source = source.model_copy(update={"outliers": outliers})
    hidden = chain(source)
    kinds = hidden.probability.shape[1]
    length = 4
    observed = draws(source, rows=20).target[:, :length]
    likelihood = np.zeros((20, length + 1))
    likelihood[:, 0] = 1
    for end in range(1, length + 1):
        for symbols in itertools.product(range(kinds), repeat=end):
            state, weight = 0, 1.0
            for symbol in symbols:
                weight *= hidden.probability[state, symbol]
                state = hidden.following[state, symbol]
            same = observed[:, :end] == np.array(symbols)
            shown = np.where(same, 1 - outliers + outliers / kinds, outliers / kinds)
            likelihood[:, end] += weight * shown.prod(axis=1)
    stated, _ = hidden.filtered(observed, outliers=outliers)
    np.testing.assert_allclose(stated, np.diff(np.log(likelihood), axis=1), rtol=1e-10)


@pytest.mark.parametrize(("chain", "source"), CHAINS)
def test_the_entropy_is_the_mean_surprise_over_all_sequences(chain, source):
    hidden = chain(source)
    length, total, mass = 5, 0.0, 0.0
    for symbols in itertools.product(range(hidden.probability.shape[1]), repeat=length):
        state, weight = 0, 1.0
        for symbol in symbols:
            weight *= hidden.probability[state, symbol]
            state = hidden.following[state, symbol]
        if weight > 0:
            total, mass = total - weight * math.log(weight), mass + weight
    assert mass == pytest.approx(1)
    assert hidden.entropy(length) == pytest.approx(total / length, rel=1e-12)


@pytest.mark.parametrize("source", [Ngrams(), Brackets(types=3)])
def test_drawn_sequences_have_the_sources_entropy(source):
    drawn = draws(source, rows=4000)
    of_rows = -drawn.log_optimal.mean(axis=1)
    chain = ngrams(source) if isinstance(source, Ngrams) else brackets(source)
    error = of_rows.std() / math.sqrt(len(of_rows))
    assert drawn.optimal_nll == pytest.approx(chain.entropy(source.length), abs=4 * error)


def test_brackets_close_what_was_opened_last():
    source = Brackets(types=3, depth=3, length=40)
    for symbols in draws(source, rows=50).target:
        stack: list[int] = []
        for symbol in symbols:
            if symbol < 3:
                stack.append(int(symbol))
                assert len(stack) <= 3
            else:
                assert symbol - 3 == stack.pop()


@pytest.mark.parametrize("outliers", [0.0, 0.25])
def test_a_copy_follows_its_mark_and_tells_the_true_symbols(outliers):
    source = Copying(symbols=5, shortest=2, length=6, delay=3, outliers=outliers)
    opened, drawn = open_synthetic(source), draws(source)
    blank, mark = opened.tokens.index("blank"), opened.tokens.index("mark")
    same = []
    for ids, target in zip(drawn.tokens[..., 0], drawn.target, strict=True):
        length = int((target != NOT_COUNTED).sum())
        assert ids[length : length + 3].tolist() == [blank] * 3
        assert ids[length + 3] == mark
        copy = target[length + 3 : 2 * length + 3]
        assert (ids[length + 4 : 2 * length + 3] - 1).tolist() == copy[:-1].tolist()
        assert not ids[2 * length + 3 :].any()
        same += (ids[:length] - 1 == copy).tolist()
    kept = 1 - outliers + outliers / 5
    assert np.mean(same) == pytest.approx(kept, abs=4 * math.sqrt(kept * (1 - kept) / len(same)))
    entropy = -kept * math.log(kept) - ((1 - kept) * math.log(outliers / 5) if outliers else 0)
    assert drawn.optimal_nll == pytest.approx(entropy, abs=0.06 if outliers else 1e-12)
    assert drawn.optimal_accuracy == pytest.approx(np.mean(same))


def test_copies_of_the_test_part_have_their_own_length():
    source = Copying(length=6, test_length=12)
    assert set((draws(source).target != NOT_COUNTED).sum(axis=1)) == {2, 3, 4, 5, 6}
    assert set((draws(source, test=True).target != NOT_COUNTED).sum(axis=1)) == {12}
    assert source.context == 24


@pytest.mark.parametrize("outliers", [0.0, 0.4])
def test_the_posterior_of_the_urns_is_calibrated_and_follows_bayes(outliers):
    source = Urns(classes=3, symbols=4, length=7, concentration=2.0, outliers=outliers)
    drawn = draws(source, rows=20_000)
    urn = np.random.default_rng([source.seed, 1]).dirichlet(np.full(4, 2.0), size=3)
    mixed = (1 - outliers) * urn + outliers / 4
    for row in range(20):
        symbols = drawn.tokens[row, :, 0]
        joint = [math.prod(mixed[c, s - 1] for s in symbols if s) for c in range(3)]
        assert math.exp(drawn.log_optimal[row]) == pytest.approx(joint[drawn.target[row]] / sum(joint))
    stated = np.exp(drawn.log_optimal)
    assert drawn.optimal_accuracy > 0.34
    # E[1 / p(target)] over targets drawn from the posterior is the number of classes.
    assert (1 / stated).mean() == pytest.approx(3, rel=0.1)


def test_the_cause_of_a_recalled_value_is_the_pair_of_its_key():
    source = Recall(outliers=0.2)
    drawn = draws(source)
    question = drawn.tokens[:, -1]
    assert set(question[:, 1]) == {1 + source.keys + source.values}
    for ids, target, cause, right in zip(
        drawn.tokens, drawn.target[:, -1], drawn.cause[:, -1], drawn.optimal_correct[:, -1], strict=True
    ):
        key, value = ids[cause]
        assert key == ids[-1, 0]
        assert len(set(ids[:-1, 0])) == source.pairs
        assert (value - 1 - source.keys == target) == right
    assert (drawn.target[:, :-1] == NOT_COUNTED).all()


@pytest.mark.parametrize("source", EVERY)
def test_ids_and_classes_are_those_that_have_names(source):
    opened, drawn = open_synthetic(source), draws(source, rows=500)
    assert drawn.tokens.min() >= 0
    assert drawn.tokens.max() < len(opened.tokens)
    assert drawn.tokens.shape[1] <= source.context
    counted = drawn.target[drawn.counted]
    assert counted.min() >= 0
    assert set(counted) == set(range(len(opened.classes)))
    assert drawn.tokens[:, 0].any(axis=1).all()
    again = draws(source, rows=500)
    for mine, other in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert not np.array_equal(drawn.tokens, draws(source, rows=500, seed=1).tokens)
