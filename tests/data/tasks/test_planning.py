"""Episodes: three parts of unlike indices, chances of each by itself."""

from pathlib import Path

import numpy as np

from precisionflow.data.episodes import chances, episodes_of
from precisionflow.data.prepare import prepare
from precisionflow.data.streams import Stream
from precisionflow.results.layout import PreparedSplit, data_folder
from tests.planning_experiment import planning


def test_parts_share_no_episode(tmp_path: Path) -> None:
    experiment = planning(train=3, valid=4, test=5)
    prepare([experiment], out=tmp_path)
    place = PreparedSplit(data_folder(tmp_path, experiment, 0))
    parts = [episodes_of(place.part(part)) for part in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [3, 4, 5]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(12))


def test_chances_are_those_of_the_episode_and_the_seed() -> None:
    both = chances(Stream(1), np.array([7, 3]), times=4, draws=3)
    np.testing.assert_array_equal(both[1], chances(Stream(1), np.array([3]), times=4, draws=3)[0])
    assert not np.isclose(both[0], both[1]).any()
    assert not np.isclose(both, chances(Stream(2), np.array([7, 3]), times=4, draws=3)).any()
