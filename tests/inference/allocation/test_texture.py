"""Texture channels against known colours, Pillow's CIE L*a*b* and SciPy's Sobel; images that are none."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from scipy import ndimage

from precisionflow.inference.allocation.patches import cut
from precisionflow.inference.allocation.texture import CHANNELS, RANGES, image_of, lab, sobel, texture

KNOWN = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (119, 119, 119): (50.03, 0.0, 0.0),
}
"""CIE L*a*b* of sRGB under D65 (Lindbloom)."""


def photograph() -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return load_sample_image("flower.jpg")[100:160, 200:290]


def test_colours_are_those_of_the_standard() -> None:
    image = torch.tensor(list(KNOWN)).double().T[None, :, :, None] / 255
    np.testing.assert_allclose(lab(image)[0, :, :, 0].T, list(KNOWN.values()), atol=0.02)


def test_colours_of_a_photograph_are_those_of_little_cms() -> None:
    pixels = photograph()
    # its L*a*b* is that of D50, to which colours are adapted: lightness hardly differs
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    theirs = np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform)).astype(np.uint8)
    ours = lab(image_of(pixels)[None])[0]
    np.testing.assert_allclose(ours[0], theirs[..., 0] * (100 / 255), atol=2.5)
    for channel in (1, 2):
        signed = theirs[..., channel].astype(np.int8)
        assert np.corrcoef(ours[channel].flatten(), signed.flatten())[0, 1] > 0.98


def test_slopes_are_scipys_and_those_of_a_plane() -> None:
    grey = torch.from_numpy(np.random.default_rng(0).random((2, 9, 11)))
    for index, axis in enumerate((1, 2)):
        theirs = ndimage.sobel(grey.numpy(), axis=axis, mode="nearest")
        # SciPy smooths over all other axes, the images too: one image at a time
        theirs = np.stack([ndimage.sobel(one, axis=axis - 1, mode="nearest") for one in grey.numpy()])
        np.testing.assert_allclose(sobel(grey)[:, index], theirs / 8, atol=1e-12)
    down, right = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    slopes = sobel((3 * down - 2 * right)[None].double())[0, :, 1:-1, 1:-1]
    torch.testing.assert_close(slopes, torch.tensor([3.0, -2.0]).double()[:, None, None].expand(slopes.shape))


def test_channels_are_thirteen_and_lie_in_their_ranges() -> None:
    found = texture(image_of(photograph())[None])[0]
    assert len(found) == len(CHANNELS) == len(RANGES) == 13
    for name, values, (low, high) in zip(CHANNELS, found, RANGES, strict=True):
        assert low - 1e-9 <= float(values.quantile(0.01)), name
        assert float(values.quantile(0.99)) <= high + 1e-9, name
        assert float(values.std()) > 0, name


def test_a_grey_constant_has_lightness_and_place_alone() -> None:
    found = dict(zip(CHANNELS, texture(image_of(np.full((5, 7), 0.5))[None])[0], strict=True))
    for name in CHANNELS[4:12]:
        assert float(found[name].abs().max()) < 1e-4, name
    assert float(found["lightness"].min()) == pytest.approx(0.5339, abs=1e-3)
    assert float(found["eccentricity"][0, 0]) == pytest.approx(1)
    assert float(found["eccentricity"][2, 3]) == pytest.approx(0)
    deviation = texture(image_of(np.eye(9))[None])[0][CHANNELS.index("deviation")]
    inside = ndimage.generic_filter(np.eye(9), np.std, size=3, mode="nearest")
    np.testing.assert_allclose(deviation, inside, atol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((0, 5, 3)), "and so no pixel"),
        (np.zeros((4, 5, 2)), r"has the shape \(4, 5, 2\); give \(height, width\)"),
        (np.zeros(5), r"has the shape \(5,\)"),
        (np.full((2, 2), np.nan), r"pixel \(0, 0\) is nan; give bytes, or numbers between 0 and 1"),
        (np.array([[0.0, 2.0]]), r"pixel \(0, 1\) is 2"),
        (np.zeros((4, 4), complex), "has values of type complex128; give bytes"),
        (np.array([["a", "b"]]), "has values of type <U1; give bytes"),
        (np.broadcast_to(np.float64(0), (2**14, 2**13)), "more than 67,108,864"),
    ],
)
def test_what_is_no_image_is_refused(pixels: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        image_of(pixels)


def test_one_image_is_no_batch_and_a_patch_has_pixels() -> None:
    one = image_of(np.eye(9))
    with pytest.raises(ValueError, match=r"shape \(3, 9, 9\); give \(images, 3, height, width\)"):
        texture(one)
    with pytest.raises(ValueError, match="pixels of a patch's edge: given 0; give a whole number, 1 or more"):
        cut(one[None], 0)


def test_one_pixel_and_one_channel_are_an_image() -> None:
    assert texture(image_of(np.zeros((1, 1, 1), dtype=np.uint8))[None]).shape == (1, 13, 1, 1)
