"""Images with a class: standardised by one mean and one scale of all pixels, written as three parts."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from jaxtyping import Int

from precisionflow.config.sources import ImageFile, ImageSource, ScikitLearnImages
from precisionflow.config.tasks import Images
from precisionflow.data.classes import check_classes
from precisionflow.data.folds import rows_inside
from precisionflow.data.parts import Opened, Prepared
from precisionflow.data.sources.image_file import OpenedImages, open_image_file
from precisionflow.data.sources.scikit_learn_classes import open_scikit_learn_classes
from precisionflow.data.standardisation import Moments, is_scale
from precisionflow.data.table import Columns
from precisionflow.data.tasks.classification import write_classes
from precisionflow.data.tasks.regression import numbered
from precisionflow.records.cards import Standardisation


def open_images(task: Images, *, split: int) -> Opened:
    """The images of a split; ValueError for a bad source."""
    opened = _open(task.source, split)
    return Opened(opened.table.sha256, partial(_write, opened, task=task))


def _write(opened: OpenedImages, folder: Path, *, task: Images) -> Prepared:
    check = check_classes if task.source.labelled else _any_class
    written = write_classes(opened.table, opened.labels, folder, task=task, fit=one_scale, check=check)
    return replace(written, shape=opened.shape, target=written.target if task.source.labelled else None)


def _any_class(*_: Any, **__: Any) -> None:
    """Images that have no classes need no two."""


def _open(source: ImageSource, split: int) -> OpenedImages:
    match source:
        case ScikitLearnImages():
            return OpenedImages(*open_scikit_learn_classes(source, split=split), source.shape)
        case ImageFile():
            return open_image_file(source, split=split)
        case _:
            assert_never(source)


def one_scale(columns: Columns, train: Int[np.ndarray, "train"], *, origin: str) -> Standardisation:
    """Mean and population standard deviation of all pixels of the training images together.

    Pixels of one image share a unit: a scale of each would blow up those that hardly ever change. ValueError where all
    of them are equal, and where their spread is beyond float64.
    """
    moments: Moments | None = None
    count, furthest, image = 0, -1.0, 0
    for start, batch in numbered(columns):
        inside = rows_inside(train, start, len(batch))
        pixels = batch[inside - start, :-1]
        count = pixels.shape[1]
        if pixels.size:
            piece = Moments.of(pixels.reshape(-1, 1))
            moments = piece if moments is None else moments.merge(piece)
            largest = np.abs(pixels).max(axis=1)
            if largest.max() > furthest:
                furthest, image = largest.max(), inside[largest.argmax()]
    assert moments is not None, "every training row is in the source"
    mean, scale = moments.mean.item(), moments.scale.item()
    if moments.constant.item():
        raise ValueError(
            f"{origin}: all pixels of the training images are {mean:g}; there is nothing to model"
        )
    if not is_scale(scale):
        raise ValueError(
            f"{origin}: the pixels of the training images have a spread beyond the range of float64, up to "
            f"{furthest:g} in image {image} (counted from 0); mend it, or give all images in another unit"
        )
    return Standardisation(
        feature_mean=(mean,) * count, feature_scale=(scale,) * count, target_mean=0.0, target_scale=1.0
    )
