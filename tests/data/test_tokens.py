"""Texts as tokens, and classified texts read back."""

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.config.tokens import Characters, HashedWords, WordParts, Words
from precisionflow.data.batches import Sequences
from precisionflow.data.streams import Stream
from precisionflow.data.tokens import fitted, fitted_to_words, restored, restored_words
from precisionflow.data.tokens.hashed import bucket, pieces, shape
from precisionflow.data.tokens.listed import PADDING, UNKNOWN
from precisionflow.records.files import write_parquet
from precisionflow.records.schemas import SEQUENCES

GOLDEN = [16987, 17739, 9055, 16824]


def test_a_vocabulary_holds_what_stands_often_enough():
    texts = ["a b  a", "c b"]
    assert fitted(Words(least_count=2), texts).vocabulary.tokens == (PADDING, UNKNOWN, "a", "b")
    assert fitted(Words(least_count=1), texts).bags("c d a") == [(4,), (1,), (2,)]
    assert fitted(Characters(), texts).bags("a b") == [(3,), (2,), (4,)]
    assert fitted(Words(least_count=1, most=2), ["c b A c B a"]).vocabulary.tokens[2:] == ("A", "c")
    lines = Words(least_count=1, lower_case=True, line_ends=True)
    assert fitted(lines, ["c b A\nc B a"]).vocabulary.tokens[2:] == ("<eos>", "a", "b", "c")


@pytest.mark.parametrize("config", [Words(), Characters()])
def test_a_tokeniser_is_restored_from_its_vocabulary(config):
    tokeniser = fitted(config, ["a b a b", "c c"])
    again = restored(config, tokeniser.vocabulary)
    assert again.bags("a d c b") == tokeniser.bags("a d c b")
    assert tokeniser.vocabulary.ids == len(tokeniser.vocabulary.tokens)


@pytest.fixture
def sequences(tmp_path) -> Sequences:
    tokens = [[[i] for i in range(2, 3 + row % 4)] for row in range(10)]
    columns = {"row": range(5, 15), "tokens": tokens, "target": [row % 2 for row in range(10)]}
    write_parquet(
        pa.table(list(map(list, columns.values())), schema=SEQUENCES), tmp_path / "t.parquet", SEQUENCES
    )
    return Sequences.read(tmp_path / "t.parquet")


def test_sequences_come_back(sequences):
    assert sequences.rows.tolist() == list(range(5, 15))
    assert sequences.lengths.tolist() == [1 + row % 4 for row in range(10)]
    parts = list(sequences.consecutive(batch_size=4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert np.concatenate([part.classes() for part in parts]).tolist() == sequences.target.tolist()


def test_every_sequence_comes_once_an_epoch_and_ranks_share_a_batch(sequences):
    epoch = [sequences.batch(step, stream=Stream(3), batch_size=5) for step in range(2)]
    assert sorted(row for batch in epoch for row in batch.rows) == list(range(5, 15))
    shares = [
        sequences.batch(1, stream=Stream(3), batch_size=5, rank=rank, ranks=2).rows for rank in range(2)
    ]
    assert np.concatenate(shares).tolist() == epoch[1].rows.tolist()


def test_pieces_of_a_word_are_itself_its_shape_its_ends_and_its_trigrams():
    assert list(pieces("Cat7")) == [
        "word Cat7",
        "shape Xxd",
        *(
            "prefix c",
            "suffix 7",
            "prefix ca",
            "suffix t7",
            "prefix cat",
            "suffix at7",
            "prefix cat7",
            "suffix cat7",
        ),
        *("trigram \x02ca", "trigram cat", "trigram at7", "trigram t7\x03"),
    ]
    assert [shape(word) for word in ("USA", "iPhone", "24-7", "Ωmega's")] == ["X", "xXx", "d-d", "Xx'x"]
    assert len(list(pieces("a" * 500))) == 2 + 2 * 4 + 2 * 9


def test_hashes_are_the_same_on_every_machine():
    assert [
        bucket(piece, 20_000) for piece in ("word Cat7", "suffix ing", "trigram \x02ca", "shape Xx")
    ] == GOLDEN


def test_a_hashed_word_has_its_own_id_where_training_holds_it_often_enough():
    tokeniser = fitted(HashedWords(buckets=1000), ["The cat", "the dog sat", "a dog"])
    assert tokeniser.vocabulary.tokens == (PADDING, "dog", "the")
    assert tokeniser.vocabulary.ids == 1003
    the, upper, cat = tokeniser.bags("the The cat")
    assert the[0] == upper[0] == 2
    assert the != upper
    assert min(cat) >= 3
    assert max(map(max, (the, upper, cat))) < 1003
    assert len(set(the)) == len(the)
    assert restored(HashedWords(), tokeniser.vocabulary).bags("the The cat") == [the, upper, cat]
    assert restored_words(HashedWords(), tokeniser.vocabulary).bag("cat") == cat


def test_unseen_words_differ_by_their_ends():
    tokeniser = fitted_to_words(HashedWords(buckets=10_000), [["so", "so"]])
    walking, talking, walked = (set(tokeniser.bag(word)) for word in ("walking", "talking", "walked"))
    assert len(walking & talking) > len(walking & set(tokeniser.bag("zebra")))
    assert {10_000 > i > 1 for i in walking} == {True}
    assert walking - talking
    assert len({frozenset(bag) for bag in (walking, talking, walked)}) == 3
    ends = {2 + bucket(f"suffix {'ing'[-n:]}", 10_000) for n in (1, 2, 3)}
    assert ends <= walking & talking
    assert not ends <= walked


def test_parts_of_words_are_listed_where_training_holds_them_often_enough():
    """Counted by hand: `Cat` and `cats` share all but their own ends, one of the two is written with a capital."""
    tokeniser = fitted(WordParts(least_count=2), ["Cat cats", "xy"])
    assert tokeniser.vocabulary.tokens == (
        PADDING,
        UNKNOWN,
        *sorted(["prefix c", "prefix ca", "prefix cat", "trigram \x02ca", "trigram cat", "shape x"]),
    )
    (cat,), (unseen,) = tokeniser.bags("cat"), tokeniser.bags("0!")
    assert {tokeniser.vocabulary.tokens[i] for i in cat} == set(tokeniser.vocabulary.tokens[2:])
    assert unseen == (1,)
    again = restored(WordParts(least_count=2), tokeniser.vocabulary)
    assert again.bags("Cat 0! xs") == tokeniser.bags("Cat 0! xs")
    assert restored_words(WordParts(), tokeniser.vocabulary).bag("cat") == cat


def test_all_parts_of_a_word_are_listed_where_one_is_enough():
    tokeniser = fitted_to_words(WordParts(least_count=1), [["Cat7", "b b"], ["Cat7"]])
    bag = tokeniser.bag("Cat7")
    assert {tokeniser.vocabulary.tokens[i] for i in bag} == {"lower cat7", *pieces("Cat7")}
    assert len(set(bag)) == len(bag)
    assert not set(bag) & set(tokeniser.bag("b b"))


def test_words_whose_parts_all_differ_have_no_vocabulary():
    with pytest.raises(
        ValueError, match=r"none of the parts of words stands 2 times .* task\.tokens\.least_count"
    ):
        fitted(WordParts(), ["a", "B9"])


@pytest.fixture
def unequal(tmp_path) -> Sequences:
    """203 texts of 1 to 20 tokens."""
    lengths = np.random.default_rng(0).integers(1, 21, size=203)
    columns = [list(range(203)), [[[2]] * int(length) for length in lengths], [0] * 203]
    write_parquet(pa.table(columns, schema=SEQUENCES), tmp_path / "t.parquet", SEQUENCES)
    return Sequences.read(tmp_path / "t.parquet")


def test_batches_are_of_like_length_and_each_text_comes_once_a_walk(unequal):
    batches = [unequal.batch(step, stream=Stream(1), batch_size=7) for step in range(29 * 14)]
    rows = np.concatenate([batch.rows for batch in batches])
    assert len(rows) == 14 * 203
    assert (np.bincount(rows) == 14).all()
    spread = np.mean([np.ptp(batch.lengths) for batch in batches])
    assert spread < 3 < np.mean([np.ptp(unequal.lengths[r : r + 7]) for r in range(0, 196, 7)]) / 4
    orders = [tuple(batch.rows) for batch in batches]
    assert orders == [tuple(unequal.batch(s, stream=Stream(1), batch_size=7).rows) for s in range(29 * 14)]
    assert tuple(unequal.batch(3, stream=Stream(2), batch_size=7).rows) != orders[3]
    means = [batch.lengths.mean() for batch in batches[:14]]
    assert means != sorted(means)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_a_batch_of_like_length(unequal, ranks):
    for step in (0, 5, 40):
        whole = unequal.batch(step, stream=Stream(1), batch_size=7)
        shares = [
            unequal.batch(step, stream=Stream(1), batch_size=7, rank=r, ranks=ranks) for r in range(ranks)
        ]
        assert np.concatenate([share.rows for share in shares]).tolist() == whole.rows.tolist()
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
