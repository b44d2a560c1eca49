"""Counts of texts: whatever lies in files, they are the naive ones."""

import random
import tempfile
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.running import byte_pairs, fitted_running, tally
from precisionflow.data.tokens.running.merges import learn_merges
from precisionflow.data.tokens.running.reread import Reread, Room
from precisionflow.data.tokens.running.tally import Tally, most_common

SIGNS = ["a", "b", "\x1f", " ", "é", "\uffff", "\U0001f600", "ab", ""]


def added(seed, folder=None):
    """(a tally, what was added to it)."""
    draw, counted = random.Random(seed), Counter()
    filled = Tally(folder)
    for _ in range(draw.randrange(12)):
        texts = ["".join(draw.choices(SIGNS, k=draw.randrange(4))) for _ in range(draw.randrange(9))]
        counts = [draw.choice([0, 1, 2, 10**6, 2**40]) for _ in texts]
        filled.add(pa.array(texts, pa.string()), np.array(counts, dtype=np.int64))
        for text, count in zip(texts, counts, strict=True):
            counted[text] += count
    return filled, counted


@pytest.fixture(params=[(0, 0, 1), (60, 40, 30), (300, 80, 50), (1 << 21, 1 << 21, 1 << 18)], ids=str)
def bounds(request, monkeypatch):
    for name, value in zip(("MOST_PENDING", "MOST_HELD", "BATCH"), request.param, strict=True):
        monkeypatch.setattr(tally, name, value)
    return request.param


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_the_naive_ones(bounds, seed, tmp_path):
    filled, counted = added(seed, tmp_path)
    with filled:
        assert filled.table.nbytes <= bounds[1]
        assert sum(table.nbytes for table in filled.pending) <= bounds[0]
        tables = list(filled.counts())
        assert not list(tmp_path.iterdir())
    texts = [text for table in tables for text in table["text"].to_pylist()]
    counts = [count for table in tables for count in table["count"].to_pylist()]
    assert len(texts) == len(set(texts))
    assert dict(zip(texts, counts, strict=True)) == counted


@pytest.mark.usefixtures("bounds")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("least_count", [1, 2, 10**7])
@pytest.mark.parametrize("most", [None, 1, 3])
def test_the_most_common_are_the_naive_ones(seed, least_count, most):
    filled, counted = added(seed)
    with filled:
        common = most_common(filled.counts(), least_count=least_count, most=most)
    ordered = sorted(counted, key=lambda text: (-counted[text], text))
    kept = [text for text in ordered if counted[text] >= least_count][:most]
    assert common.texts.to_pylist() == kept
    assert common.counts.tolist() == [counted[text] for text in kept]
    assert common.rarer == len(counted) - len(kept)
    assert common.others == counted.total() - sum(counted[text] for text in kept)


def test_little_of_long_texts_is_in_memory(tmp_path):
    """Texts of 1 to 9 kB: sums are written away by their bytes, and come back a few at a time."""
    letters = np.array([f"{i:04d}" * (250 + i) for i in range(2000)])
    with Tally(tmp_path) as filled:
        for some in np.array_split(letters, 40):
            filled.add(pa.array(some, pa.string()), np.full(len(some), 3))
            assert filled.table.nbytes + sum(table.nbytes for table in filled.pending) <= 2 << 21
        assert len(filled.files) >= 4
        tables = list(filled.counts())
    assert max(table.nbytes for table in tables) < (len(filled.files) + 1) * ((1 << 18) + 10_000)
    assert sorted(text for table in tables for text in table["text"].to_pylist()) == sorted(letters)


def test_files_lie_where_the_text_is_prepared(monkeypatch, tmp_path):
    monkeypatch.setattr(tally, "MOST_PENDING", 0)
    monkeypatch.setattr(tally, "MOST_HELD", 0)
    unnamed, asked = tempfile.TemporaryFile, []
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: asked.append(dir) or unnamed(dir=dir))
    with Reread(lambda: iter([b"a b c d\n"]), tmp_path, Room()) as text:
        for config in (kinds.Words(least_count=1), kinds.BytePairs(least_count=1)):
            asked.clear()
            fitted_running(config, text)
            assert asked
            assert set(asked) == {tmp_path}


TEXT = b"low low low low lower lower newest newest newest newest newest widest wide"


def test_merges_are_learned_from_the_most_common_words():
    rare = fitted_running(kinds.BytePairs(most_words=2, least_count=1), [TEXT])
    words = pa.array([" low", " newest"])
    expected = learn_merges(words, np.array([3, 5]), size=4096, least_count=1)
    assert list(rare.vocabulary.merges) == [" ".join(merge) for merge in expected]
    assert rare.note == (
        "byte pairs are learned from the 2 most common of 6 words, 61.54% of the training part; "
        "task.tokens.most_words says how many"
    )


@pytest.mark.parametrize("most", [None, 6, 7])
def test_all_words_are_learned_from_without_a_note(most):
    every = fitted_running(kinds.BytePairs(most_words=most, least_count=1), [TEXT])
    assert every.note == ""
    assert every.vocabulary == byte_pairs.byte_pairs_from([TEXT], kinds.BytePairs(least_count=1)).vocabulary
