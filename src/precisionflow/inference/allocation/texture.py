"""Thirteen channels of an image's texture: colour, lightness, edges, spread, place; checks of images of any kind."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from precisionflow.inference.allocation.checks import require_axes, require_some

Images = Float[Tensor, "images 3 height width"]
"""sRGB between 0 and 1."""
Texture = Float[Tensor, "images 13 height width"]
CHANNELS = (
    "red",
    "green",
    "blue",
    "lightness",
    "green_red",
    "blue_yellow",
    "chroma",
    "slope_down",
    "slope_right",
    "gradient",
    "curvature",
    "deviation",
    "eccentricity",
)
RANGES = (
    *[(0.0, 1.0)] * 4,
    *[(-1.0, 1.0)] * 2,
    (0.0, 1.0),
    *[(-0.5, 0.5)] * 2,
    (0.0, 0.5),
    (-0.5, 0.5),
    (0.0, 0.5),
    (0.0, 1.0),
)
"""Where the values of each channel lie; few natural ones are outside."""
MOST_PIXELS = 2**26
TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
"""Linear sRGB to CIE XYZ (IEC 61966-2-1), white point D65."""
WHITE = (0.95047, 1.0, 1.08883)
EDGE, SLOPE = (6 / 29) ** 3, 3 * (6 / 29) ** 2
"""Of CIE 1976: below the edge the cube root goes on as a straight line."""


def image_of(pixels: np.ndarray) -> Float[Tensor, "3 height width"]:
    """An image as sRGB between 0 and 1: (height, width), or with 1 or 3 channels; bytes, or numbers between 0 and 1.

    Grey has three equal channels. ValueError for another shape, no pixel, too many, and values that are no colour.
    """
    try:
        given = np.asarray(pixels)
    except ValueError as error:
        raise ValueError(
            "image: has rows of unlike lengths; give (height, width), or (height, width, 3) for red, green and blue"
        ) from error
    if given.dtype.kind not in "biuf":
        raise ValueError(f"image: has values of type {given.dtype}; give bytes, or numbers between 0 and 1")
    if given.ndim not in (2, 3) or (given.ndim == 3 and given.shape[2] not in (1, 3)):
        raise ValueError(
            f"image: has the shape {given.shape}; give (height, width), or (height, width, 3) for red, green and blue"
        )
    if not given.size:
        raise ValueError(f"image: has the shape {given.shape}, and so no pixel; give at least one")
    if given.shape[0] * given.shape[1] > MOST_PIXELS:
        raise ValueError(
            f"image: {given.shape[0]} x {given.shape[1]} pixels are more than {MOST_PIXELS:,}; make it smaller"
        )
    values = given.astype(np.float64) / (255 if given.dtype == np.uint8 else 1)
    bad = ~(np.isfinite(values) & (values >= 0) & (values <= 1))
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"image: pixel {place} is {values[place]:g}; give bytes, or numbers between 0 and 1")
    values = values if values.ndim == 3 else values[..., None]
    return torch.from_numpy(np.broadcast_to(values, (*values.shape[:2], 3)).copy()).permute(2, 0, 1)


def lab(images: Images) -> Images:
    """CIE L*a*b* of sRGB under D65: L from 0 to 100, a from green to red, b from blue to yellow."""
    linear = torch.where(
        images <= 0.04045, images / 12.92, ((images.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4)
    )
    matrix = images.new_tensor(TO_XYZ) / images.new_tensor(WHITE)[:, None]
    share = torch.einsum("xc,nchw->nxhw", matrix, linear)
    root = torch.where(share > EDGE, share.clamp_min(EDGE).pow(1 / 3), share / SLOPE + 4 / 29)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def sobel(grey: Float[Tensor, "images height width"]) -> Float[Tensor, "images 2 height width"]:
    """Slope down and to the right of every pixel, in units of a pixel: Sobel's kernels over 8, edges repeated."""
    right = grey.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    return _convolved(grey, torch.stack([right.T, right]))


def _convolved(
    grey: Float[Tensor, "images height width"], kernels: Float[Tensor, "kernels 3 3"]
) -> Float[Tensor, "images kernels height width"]:
    padded = functional.pad(grey[:, None], (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernels[:, None])


def texture(images: Images) -> Texture:
    """The channels of `CHANNELS`, in `RANGES`.

    red, green, blue: as given. lightness: L / 100; green_red, blue_yellow: a / 128, b / 128; chroma: their length.
    slope_down, slope_right: Sobel's of the lightness; gradient: their length. curvature: the lightness less the mean of
    its four neighbours. deviation: standard deviation of the lightness in 3 x 3 pixels. eccentricity: distance from the
    centre, 1 at the corners.
    """
    require_axes("images", images, "images", "3", "height", "width")
    require_some("images", images)
    if images.shape[1] != 3:
        raise ValueError(f"images: has the shape {tuple(images.shape)}; give (images, 3, height, width)")
    height, width = images.shape[-2:]
    light, red, yellow = (lab(images) / images.new_tensor([100.0, 128.0, 128.0])[:, None, None]).unbind(1)
    slopes = sobel(light)
    cross = images.new_tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]) / 4
    box = images.new_full((3, 3), 1 / 9)
    curvature, mean = _convolved(light, torch.stack([cross, box])).unbind(1)
    square = _convolved(light.square(), box[None])[:, 0]
    down, right = (
        torch.linspace(-1, 1, size, dtype=images.dtype, device=images.device)
        if size > 1
        else images.new_zeros(1)
        for size in (height, width)
    )
    place = torch.hypot(down[:, None], right[None]) / math.sqrt(2)
    return torch.stack(
        [
            *images.unbind(1),
            light,
            red,
            yellow,
            torch.hypot(red, yellow),
            *slopes.unbind(1),
            torch.hypot(*slopes.unbind(1)),
            curvature,
            (square - mean.square()).clamp_min(0).sqrt(),
            place.to(images.device).expand_as(light),
        ],
        dim=1,
    )
