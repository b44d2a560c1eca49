"""Images of coloured figures among clutter: digits on shades or photographs, fine gratings; and what is asked."""

from typing import NamedTuple, assert_never

import numpy as np
from jaxtyping import Float, Int

from precisionflow.config.drawn_tables import DrawnScenes
from precisionflow.results.layout import Part

COLOURS = np.array([[1.0, 0.25, 0.2], [0.25, 0.9, 0.25], [0.3, 0.45, 1.0], [1.0, 0.9, 0.2]])
"""Red, green, blue, yellow."""
DIGITS = tuple(str(digit) for digit in range(10))
DIRECTIONS = ("horizontal", "falling", "vertical", "rising")
WIDTHS = (2.5, 4.0)
"""Pixels of a stripe and the gap beside it."""
GRATINGS = tuple(f"{width}_{direction}" for width in ("fine", "wide") for direction in DIRECTIONS)
TEST_DIGITS, VALID_DIGITS = 400, 200
"""Digits that occur in the test and in the validation part alone."""
LEVELS = 255
"""Brightest value of a byte: pixels are multiples of 1/255, as in an image file."""


class Scenes(NamedTuple):
    """Images and what is asked of them."""

    asked: Int[np.ndarray, "images"]
    """The patch with the figure that is asked for."""
    colour: Int[np.ndarray, "images"]
    """Its colour."""
    pixels: Float[np.ndarray, "images 3 edge edge"]
    """sRGB between 0 and 1."""
    target: Int[np.ndarray, "images"]
    """Class of that figure."""


def classes_of(source: DrawnScenes) -> tuple[str, ...]:
    """Names of the classes."""
    return GRATINGS if source.figures == "gratings" else DIGITS


class Figures:
    """The figures of a part, and the ground that they stand on."""

    def __init__(self, source: DrawnScenes, part: Part) -> None:
        self.source = source
        self.grounds: list[np.ndarray] = []
        match source.figures:
            case "gratings":
                pass
            case "digits" | "photographs":
                self.images, self.labels = _digits(part)
                if source.figures == "photographs":
                    from sklearn.datasets import load_sample_images

                    self.grounds = [image / LEVELS for image in load_sample_images().images]
            case _:
                assert_never(source.figures)

    def draw(self, random: np.random.Generator) -> tuple[Float[np.ndarray, "side side"], int]:
        """How much of a patch's pixels is figure, and its class."""
        side = self.source.patch
        if self.source.figures == "gratings":
            kind = int(random.integers(len(GRATINGS)))
            return _grating(kind, side, random.uniform(0, 2 * np.pi)), kind
        index = int(random.integers(len(self.labels)))
        image, shape = self.images[index], np.zeros((side, side))
        middle = (side - len(image)) // 2
        down, right = random.integers(middle - 2, middle + 3, size=2).clip(0)
        shape[down : down + len(image), right : right + len(image)] = image
        return shape, int(self.labels[index])

    def ground(self, random: np.random.Generator) -> Float[np.ndarray, "edge edge 3"]:
        """Behind the figures: a piece of a photograph at 0.6 of its brightness, or grey shades with noise."""
        edge = self.source.patches * self.source.patch
        if self.grounds:
            photograph = self.grounds[int(random.integers(len(self.grounds)))]
            down, right = (int(random.integers(size - edge + 1)) for size in photograph.shape[:2])
            return 0.6 * photograph[down : down + edge, right : right + edge]
        corners = random.uniform(0.05, 0.45, size=(2, 2))
        share = np.linspace(0, 1, edge)
        shade = np.outer(1 - share, share) * corners[0, 1] + np.outer(share, 1 - share) * corners[1, 0]
        shade += np.outer(1 - share, 1 - share) * corners[0, 0] + np.outer(share, share) * corners[1, 1]
        return np.repeat(shade[..., None], 3, axis=2) + 0.03 * random.standard_normal((edge, edge, 3))


def _digits(part: Part) -> tuple[Float[np.ndarray, "digits 8 8"], Int[np.ndarray, "digits"]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    start = {"train": TEST_DIGITS + VALID_DIGITS, "valid": TEST_DIGITS, "test": 0}[part]
    end = {"train": None, "valid": TEST_DIGITS + VALID_DIGITS, "test": TEST_DIGITS}[part]
    return digits.images[start:end] / 16, digits.target[start:end]


def _grating(kind: int, side: int, phase: float) -> Float[np.ndarray, "side side"]:
    """Stripes in a disc that fills the patch."""
    width, angle = WIDTHS[kind // len(DIRECTIONS)], np.pi / len(DIRECTIONS) * (kind % len(DIRECTIONS))
    axis = np.arange(side) - (side - 1) / 2
    down, right = np.meshgrid(axis, axis, indexing="ij")
    wave = 0.5 + 0.5 * np.sin(2 * np.pi / width * (down * np.cos(angle) + right * np.sin(angle)) + phase)
    return wave * (np.hypot(down, right) < side / 2)


def draw_scenes(source: DrawnScenes, count: int, part: Part, random: np.random.Generator) -> Scenes:
    """So many images; the figure that is asked for is the first that is drawn, at a place as likely as any other."""
    figures, patches = Figures(source, part), source.patches**2
    asked, colour, target = np.zeros((3, count), dtype=np.int64)
    edge = source.patches * source.patch
    pixels = np.empty((count, 3, edge, edge))
    for image in range(count):
        seen = figures.ground(random)
        places = random.permutation(patches)[: source.count]
        colours = random.permutation(len(COLOURS))[: source.count]
        for patch in range(patches):
            if patch not in places and random.random() < source.clutter:
                seen[_inside(source, patch)] += 0.3 * random.standard_normal((source.patch, source.patch, 3))
        for order, (place, tint) in enumerate(zip(places, colours, strict=True)):
            shape, kind = figures.draw(random)
            inside = _inside(source, int(place))
            seen[inside] += shape[..., None] * (COLOURS[tint] - seen[inside])
            if order == 0:
                asked[image], colour[image], target[image] = place, tint, kind
        pixels[image] = seen.transpose(2, 0, 1)
    return Scenes(asked, colour, np.round(pixels.clip(0, 1) * LEVELS) / LEVELS, target)


def _inside(source: DrawnScenes, patch: int) -> tuple[slice, slice]:
    down, right = divmod(patch, source.patches)
    side = source.patch
    return slice(down * side, (down + 1) * side), slice(right * side, (right + 1) * side)
