"""Stored patterns: lengths, distances of queries, clusters, and parts of a split that share patterns alone."""

from pathlib import Path

import numpy as np
import pytest

from precisionflow.config.drawn_tables import StoredPatterns
from precisionflow.config.tasks import Retrieval
from precisionflow.data.batches import Rows
from precisionflow.data.sources.stored_patterns import draw_patterns, draw_queries
from precisionflow.data.tasks.retrieval import open_retrieval
from precisionflow.results.layout import PARTS


@pytest.mark.parametrize("values", ["continuous", "binary"])
def test_patterns_have_length_one_and_queries_their_distance(values) -> None:
    source = StoredPatterns(width=9, patterns=40, values=values, noise=0.7)
    patterns = draw_patterns(source, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(patterns, axis=1), 1)
    if values == "binary":
        np.testing.assert_allclose(np.abs(patterns), 1 / 3)
    queries = draw_queries(source, patterns, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(queries - patterns, axis=1), 0.7)


def test_patterns_of_a_cluster_lie_about_its_centre() -> None:
    source = StoredPatterns(width=200, patterns=30, clusters=3, spread=0.5)
    overlap = (patterns := draw_patterns(source, np.random.default_rng(0))) @ patterns.T
    same = np.arange(30)[:, None] % 3 == np.arange(30) % 3
    np.fill_diagonal(overlap, np.nan)
    # centre + 0.5 u has the length sqrt(1.25), u of another direction for every pattern
    assert np.nanmean(overlap[same]) == pytest.approx(1 / 1.25, abs=0.02)
    assert np.nanmean(overlap[~same]) == pytest.approx(0, abs=0.1)


def test_parts_of_a_split_share_the_patterns_and_no_query(tmp_path: Path) -> None:
    task = Retrieval(source=StoredPatterns(width=4, patterns=6), valid=3, test=9)
    rows = {}
    for split in (0, 1):
        (folder := tmp_path / str(split)).mkdir()
        open_retrieval(task, split=split).write(folder)
        rows[split] = [Rows.read(folder / f"{part}.parquet").features for part in PARTS]
    train, valid, test = rows[0]
    np.testing.assert_array_equal(valid[:, :4], train[:3, :4])
    np.testing.assert_array_equal(test[:, :4], np.concatenate([train, train[:3]])[:, :4])
    queries = np.concatenate([part[:, 4:] for split in rows.values() for part in split])
    assert len(np.unique(queries, axis=0)) == 2 * (6 + 3 + 9)
    assert not np.isin(rows[1][0][:, :4], train[:, :4]).any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"values": "binary", "width": 4, "patterns": 17}, "there are 16 binary patterns of width 4, and 17"),
        ({"patterns": 4, "clusters": 5}, "5 clusters of 4 patterns; give at most as many"),
    ],
)
def test_patterns_that_cannot_be_are_refused(settings, said) -> None:
    with pytest.raises(ValueError, match=said):
        StoredPatterns(**settings)
