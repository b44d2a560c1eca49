"""Texts as tokens, and classified texts read back."""

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.config.tokens import Characters, Words
from precisionflow.data.batches import Sequences
from precisionflow.data.streams import Stream
from precisionflow.data.tokens import fitted, restored
from precisionflow.data.tokens.listed import PADDING, UNKNOWN
from precisionflow.records.files import write_parquet
from precisionflow.records.schemas import SEQUENCES


def test_a_vocabulary_holds_what_stands_often_enough():
    texts = ["a b  a", "c b"]
    assert fitted(Words(least_count=2), texts).vocabulary.tokens == (PADDING, UNKNOWN, "a", "b")
    assert fitted(Words(least_count=1), texts).bags("c d a") == [(4,), (1,), (2,)]
    assert fitted(Characters(), texts).bags("a b") == [(3,), (2,), (4,)]


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
