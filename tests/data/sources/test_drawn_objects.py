"""Images of objects: what colours and owners say of each other, and parts that have nothing in common."""

import numpy as np
import pytest

from precisionflow.config.drawn_tables import DrawnObjects
from precisionflow.config.tasks import Objects
from precisionflow.data.sources.drawn_objects import GROUND, draw_objects
from precisionflow.data.tasks.objects import drawn_part


def drawn(count: int = 40, **settings: object):
    return draw_objects(DrawnObjects(**settings), count, np.random.default_rng(0))


def test_without_noise_every_object_has_one_colour_and_the_ground_is_grey():
    images = drawn(noise=0.0)
    for features, owner in zip(images.features, images.owner, strict=True):
        assert (features[owner == 0, :3] == GROUND).all()
        colours = [np.unique(features[owner == number, :3], axis=0) for number in np.unique(owner)[1:]]
        assert all(len(of) == 1 for of in colours)
        assert len(np.unique(np.concatenate(colours), axis=0)) == len(colours)


def test_noise_has_its_standard_deviation_and_moves_no_object():
    clean, noisy = drawn(noise=0.0), drawn(noise=0.2)
    assert (clean.owner == noisy.owner).all()
    difference = (noisy.features - clean.features)[..., :3]
    assert difference.std() == pytest.approx(0.2, rel=0.03)
    assert (noisy.features[..., 3:] == clean.features[..., 3:]).all()


def test_places_are_the_middles_of_pixels_row_before_column():
    places = drawn(1, side=4).features[0, :, 3:]
    assert places[1].tolist() == [0.125, 0.375]
    assert places[4].tolist() == [0.375, 0.125]


def test_an_image_has_two_objects_to_the_most_and_groups_count_the_ground():
    images = drawn(400, most=3)
    assert set(images.owner.max(axis=1)) <= {1, 2, 3}
    visible = [len(set(owner.tolist())) for owner in images.owner]
    assert images.groups.tolist() == visible
    assert 2 in visible
    assert 4 in visible


def test_parts_have_streams_of_their_own():
    task = Objects(train=5, valid=5, test=5)
    parts = [drawn_part(task, part, split=0).features for part in ("train", "valid", "test")]
    assert not np.isclose(parts[0], parts[1]).all(axis=(1, 2)).any()
    assert (drawn_part(task, "test", split=0).features == parts[2]).all()
