"""Scenes: figures in patches of their own, colours and classes as asked, parts without common digits."""

import numpy as np
import pytest

from precisionflow.config.drawn_tables import DrawnScenes
from precisionflow.data.sources.scenes import COLOURS, Figures, classes_of, draw_scenes
from precisionflow.data.tasks.allocation import names_of


def drawn(count: int = 12, **settings: object):
    source = DrawnScenes(**settings)
    return source, draw_scenes(source, count, "train", np.random.default_rng(0))


@pytest.mark.parametrize("figures", ["digits", "photographs", "gratings"])
def test_the_patch_that_is_asked_for_has_the_colour_of_the_query(figures: str) -> None:
    source, scenes = drawn(figures=figures, clutter=0.0)
    assert scenes.pixels.shape == (12, 3, 60, 60)
    assert len(names_of(source)) == 1 + 4 + 3 * 60 * 60
    assert float(scenes.pixels.min()) >= 0
    assert float(scenes.pixels.max()) <= 1
    np.testing.assert_allclose(scenes.pixels * 255, np.round(scenes.pixels * 255), atol=1e-9)
    assert set(scenes.target) <= set(range(len(classes_of(source))))
    for image in range(12):
        down, right = divmod(int(scenes.asked[image]), 3)
        patch = (
            scenes.pixels[image][:, 20 * down : 20 * down + 20, 20 * right : 20 * right + 20].reshape(3, -1).T
        )
        brightest = patch[np.abs(patch - COLOURS[scenes.colour[image]]).sum(axis=1).argmin()]
        np.testing.assert_allclose(brightest, COLOURS[scenes.colour[image]], atol=0.15)


def test_clutter_is_noise_in_patches_without_a_figure() -> None:
    _, plain = drawn(40, clutter=0.0)
    _, noisy = drawn(40, clutter=1.0)
    rough = [np.abs(np.diff(scenes.pixels, axis=-1)).mean() for scenes in (plain, noisy)]
    assert rough[1] > 3 * rough[0]


def test_digits_of_the_parts_differ() -> None:
    pools = {part: Figures(DrawnScenes(), part).images for part in ("train", "valid", "test")}
    assert sum(map(len, pools.values())) == 1797
    assert [len(pools[part]) for part in ("valid", "test")] == [200, 400]


def test_classes_of_gratings_differ_in_direction_and_width() -> None:
    source = DrawnScenes(figures="gratings", patch=20)
    figures, random, peaks = Figures(source, "train"), np.random.default_rng(1), {}
    while len(peaks) < 8:
        shape, kind = figures.draw(random)
        power = np.abs(np.fft.fft2(shape - shape.mean()))[:, :11]
        peaks[kind] = np.unravel_index(power.argmax(), power.shape)
    assert len(set(peaks.values())) == 8
