"""Texts as tokens, and classified texts read back."""

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.data.batches import Sequences
from precisionflow.data.streams import Stream
from precisionflow.data.tokens import PADDING, UNKNOWN, indices_of, split_text, vocabulary_of
from precisionflow.records.files import write_parquet
from precisionflow.records.schemas import SEQUENCES


def test_a_vocabulary_holds_what_stands_often_enough():
    texts = [split_text(text, kind="words") for text in ("a b  a", "c b")]
    assert vocabulary_of(texts, least_count=2) == (PADDING, UNKNOWN, "a", "b")
    index = {token: i for i, token in enumerate(vocabulary_of(texts, least_count=1))}
    assert indices_of(["c", "d", "a"], index) == [4, 1, 2]
    assert list(split_text("a b", kind="characters")) == ["a", " ", "b"]


@pytest.fixture
def sequences(tmp_path) -> Sequences:
    tokens = [list(range(2, 3 + row % 4)) for row in range(10)]
    columns = {"row": range(5, 15), "tokens": tokens, "target": [row % 2 for row in range(10)]}
    write_parquet(
        pa.table(list(map(list, columns.values())), schema=SEQUENCES), tmp_path / "t.parquet", SEQUENCES
    )
    return Sequences.read(tmp_path / "t.parquet")


def test_sequences_come_back(sequences):
    assert sequences.rows.tolist() == list(range(5, 15))
    assert [len(tokens) for tokens in sequences.tokens] == [1 + row % 4 for row in range(10)]
    parts = list(sequences.consecutive(batch_size=4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert np.concatenate([part.target for part in parts]).tolist() == sequences.target.tolist()


def test_every_sequence_comes_once_an_epoch_and_ranks_share_a_batch(sequences):
    epoch = [sequences.batch(step, stream=Stream(3), batch_size=5) for step in range(2)]
    assert sorted(row for batch in epoch for row in batch.rows) == list(range(5, 15))
    shares = [
        sequences.batch(1, stream=Stream(3), batch_size=5, rank=rank, ranks=2).rows for rank in range(2)
    ]
    assert np.concatenate(shares).tolist() == epoch[1].rows.tolist()
