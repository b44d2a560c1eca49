"""Images with a class: one scale for all pixels, files of both forms, refusals in one line."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from precisionflow.config import ConfigError, resolve
from precisionflow.data.batches import Rows
from precisionflow.data.prepare import prepare
from precisionflow.data.sources import image_file
from precisionflow.data.tasks.images import open_images
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PARTS, PreparedSplit, data_folder
from precisionflow.training.batches import read_samples


def experiment(source: dict[str, object], **task: object):
    return resolve(
        {
            "name": "images",
            "task": {"kind": "images", "source": source} | task,
            "model": {"kind": "generative"},
            "objective": {"kind": "free_energy"},
            "learning": {"kind": "predictive_coding"},
        }
    )


def prepared(given, out: Path) -> tuple[DatasetCard, PreparedSplit]:
    prepare([given], out=out)
    folder = PreparedSplit(data_folder(out, given, 0))
    return read_card(folder.card, DatasetCard), folder


RANDOM = np.random.default_rng(2)
TWO = np.arange(40) % 2
IMAGES, LABELS = RANDOM.normal(3, 2, size=(40, 4, 5)), np.array(["cat", "dog"] * 20)


def with_pixel(value: float) -> np.ndarray:
    """Images of which the last has one other pixel."""
    images = IMAGES.copy()
    images[39, 0, 0] = value
    return images


def parquet(file: Path, images: object = None, labels: object = None) -> dict[str, object]:
    images, labels = IMAGES.tolist() if images is None else images, LABELS if labels is None else labels
    pq.write_table(pa.table({"image": images, "label": labels}), file)
    return {"kind": "image_file", "path": str(file)}


def npz(file: Path, **arrays: np.ndarray) -> dict[str, object]:
    np.savez(file, **({"image": IMAGES, "label": LABELS} | arrays))
    return {"kind": "image_file", "path": str(file)}


def npy(file: Path, image: object = IMAGES) -> dict[str, object]:
    np.save(file, image)
    return {"kind": "image_file", "path": str(file), "target": None}


def test_all_pixels_have_the_mean_and_the_scale_of_the_training_images_together(tmp_path):
    given = experiment({"kind": "scikit_learn_images"}, unknown=["8"])
    card, folder = prepared(given, tmp_path)
    train = Rows.read(folder.part("train"))
    digits = load_digits()
    pixels = digits.data[train.rows]
    np.testing.assert_allclose(card.table.feature_mean, [pixels.mean()] * 64)
    np.testing.assert_allclose(card.table.feature_scale, [pixels.std()] * 64)
    np.testing.assert_allclose(train.features, (pixels - pixels.mean()) / pixels.std(), rtol=1e-5, atol=1e-6)
    assert card.shape == (8, 8)
    assert card.class_names == tuple("012345679")
    known = digits.target[train.rows]
    assert np.array_equal(np.array(card.class_names)[train.target.astype(int)], known.astype(str))
    strange = Rows.read(folder.unknown)
    assert (digits.target[strange.rows] == 8).all()
    assert len(strange.rows) == (digits.target == 8).sum()


@pytest.mark.parametrize("form", [parquet, npz])
def test_a_file_of_images_is_read_in_both_forms(form, tmp_path):
    given = experiment(form(tmp_path / f"set.{form.__name__}"))
    card, folder = prepared(given, tmp_path / "out")
    assert card.dataset == "set"
    assert card.shape == (4, 5)
    assert card.feature_names == tuple(f"pixel_{place}" for place in range(20))
    for part in PARTS:
        rows = Rows.read(folder.part(part))
        restored = card.table.restore_features(rows.features)
        np.testing.assert_allclose(restored, IMAGES.reshape(40, 20)[rows.rows], rtol=1e-5, atol=1e-5)
        names = np.array(card.class_names)[rows.target.astype(int)]
        assert names.tolist() == LABELS[rows.rows].tolist()


@pytest.mark.parametrize("form", [parquet, npz, npy])
def test_images_without_classes_are_read_from_every_form(form, tmp_path):
    """Their classes are left unread where the file has some."""
    source = form(tmp_path / f"set.{form.__name__}")
    given = experiment(source | {"target": None})
    card, folder = prepared(given, tmp_path / "out")
    assert card.class_names == ("image",)
    assert card.target is None
    for part in PARTS:
        rows = Rows.read(folder.part(part))
        assert not rows.target.any()
        restored = card.table.restore_features(rows.features)
        np.testing.assert_allclose(restored, IMAGES.reshape(40, 20)[rows.rows], rtol=1e-5, atol=1e-5)


def fortran(file: Path) -> dict[str, object]:
    return npz(file.with_suffix(".npz"), image=np.asfortranarray(IMAGES))


def stored_in_bytes(file: Path) -> dict[str, object]:
    np.savez_compressed(file.with_suffix(".npz"), image=(IMAGES * 9).astype(np.int8), label=np.arange(40) % 2)
    return {"kind": "image_file", "path": str(file.with_suffix(".npz"))}


@pytest.mark.parametrize("form", [parquet, npz, fortran, stored_in_bytes])
def test_images_are_the_same_whatever_is_read_at_once(form, tmp_path, monkeypatch):
    given = experiment(form(tmp_path / f"set.{form.__name__}"), unknown=[])
    card, whole = prepared(given, tmp_path / "whole")
    monkeypatch.setattr(image_file, "BATCH_PIXELS", 3 * 20 + 1)
    again, parts = prepared(given, tmp_path / "parts")
    assert pq.ParquetFile(parts.part("train")).num_row_groups > 10
    for name in ("source_sha256", "rows", "class_names", "feature_names", "shape", "target"):
        assert getattr(again, name) == getattr(card, name)
    np.testing.assert_allclose(again.table.feature_mean, card.table.feature_mean, rtol=1e-14)
    np.testing.assert_allclose(again.table.feature_scale, card.table.feature_scale, rtol=1e-14)
    for part in PARTS:
        one, other = Rows.read(whole.part(part)), Rows.read(parts.part(part))
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.target, other.target)
        np.testing.assert_allclose(one.features, other.features, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", [parquet, npz])
def test_images_are_read_and_not_held(form, tmp_path, monkeypatch):
    """What more images take is a number or two and the class of each, not its pixels."""
    monkeypatch.setattr(image_file, "BATCH_PIXELS", 1 << 12)

    def peak(count: int) -> int:
        images = np.random.default_rng(count).integers(0, 255, (count, 16, 16)).astype(np.uint8)
        pixels, labels = images if form is npz else images.tolist(), np.arange(count) % 2
        path = tmp_path / f"{count}.{form.__name__}"
        source = form(path, image=pixels, label=labels) if form is npz else form(path, pixels, labels)
        (tmp_path / f"{count}-{form.__name__}").mkdir()
        task = experiment(source).task
        del images, pixels, labels
        tracemalloc.start()
        try:
            open_images(task, split=0).write(tmp_path / f"{count}-{form.__name__}")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)
    assert peak(2000) - peak(500) < 1500 * 16 * 16 * 8 / 8


def test_a_batch_predicts_images_from_their_classes(tmp_path):
    given = experiment(parquet(tmp_path / "set.parquet"))
    _, folder = prepared(given, tmp_path / "out")
    rows = Rows.read(folder.part("train"))
    batches = read_samples(given.task, folder.part("train")).whole(batch_size=10)
    assert sum(len(batch.target) for batch in batches) == len(rows.rows)
    assert [len(batch.target) for batch in batches[:-1]] == [10] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate([batch.target for batch in batches]), rows.features)
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in batches]), rows.target)


def picture(pixels: np.ndarray, form: str = "PNG", mode: str | None = None) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    shown = Image.fromarray(pixels)
    (shown if mode is None else shown.convert(mode)).save(file, form)
    return file.getvalue()


GREY = RANDOM.integers(0, 256, size=(40, 4, 5), dtype=np.uint8)
PICTURES = [picture(pixels) for pixels in GREY]


@pytest.mark.parametrize("cell", [lambda file: file, lambda file: {"bytes": file, "path": "a.png"}])
def test_pictures_in_a_column_are_read_as_their_pixels(cell, tmp_path):
    """As files alone, and with their paths as data sets of pictures are exchanged."""
    written = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": list(map(cell, PICTURES)), "label": LABELS}), written)
    card, folder = prepared(experiment({"kind": "image_file", "path": str(written)}), tmp_path / "out")
    assert card.shape == (4, 5)
    train, scale, mean = Rows.read(folder.part("train")), card.table.feature_scale, card.table.feature_mean
    np.testing.assert_allclose(train.features * scale + mean, GREY[train.rows].reshape(-1, 20), atol=1e-3)


def test_pictures_of_colours_and_of_a_palette_have_three_numbers_a_pixel(tmp_path):
    colours = RANDOM.integers(0, 256, size=(40, 4, 5, 3), dtype=np.uint8)
    cards = []
    for name, mode in (("colours", None), ("palette", "P")):
        written = tmp_path / f"{name}.parquet"
        cells = [picture(pixels, mode=mode) for pixels in colours]
        pq.write_table(pa.table({"image": cells, "label": LABELS}), written)
        card, _ = prepared(experiment({"kind": "image_file", "path": str(written)}), tmp_path / name)
        cards.append(card)
    assert [card.shape for card in cards] == [(4, 5, 3)] * 2
    means = [card.table.feature_mean[0] for card in cards]
    assert means[0] == pytest.approx(means[1], rel=0.05)


@pytest.mark.parametrize("value", [1e300, -1.7e308])
@pytest.mark.parametrize("split", range(4))
def test_a_pixel_beyond_all_range_is_refused_in_whichever_part_it_lies(value, split, tmp_path):
    task = experiment(npz(tmp_path / "a.npz", image=with_pixel(value))).task
    with pytest.raises(ValueError, match=r"(image|row) 39 \(counted from 0\)") as told:
        open_images(task, split=split).write(tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("form", [parquet, npz])
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (TWO.astype(np.float64), ("0", "1")),
        (TWO.astype(">i4"), ("0", "1")),
        (np.array([b"cat", b"dog"] * 20), ("cat", "dog")),
    ],
)
def test_classes_are_called_as_those_of_a_table(form, labels, classes, tmp_path):
    if form is parquet:
        native = labels.astype(labels.dtype.newbyteorder("="))
        source = parquet(tmp_path / "a.parquet", labels=pa.array(native))
    else:
        source = npz(tmp_path / "a.npz", label=labels)
    card, _ = prepared(experiment(source), tmp_path / "out")
    assert card.class_names == classes


def test_an_axis_of_one_behind_the_classes_says_nothing(tmp_path):
    given = experiment(npz(tmp_path / "a.npz", label=LABELS[:, None]))
    card, _ = prepared(given, tmp_path / "out")
    assert card.class_names == ("cat", "dog")


def cut_short(source: dict[str, object]) -> dict[str, object]:
    file = Path(str(source["path"]))
    file.write_bytes(file.read_bytes()[:-8])
    return source


RAGGED = [image.tolist() for image in IMAGES[:39]] + [IMAGES[39, :, :4].tolist()]
NO_NUMBER = [image.tolist() for image in IMAGES[:39]] + [[[1.0], [2.0, 3.0]]]
NAN = IMAGES.copy()
NAN[7, 1, 2] = np.nan
LISTS = IMAGES.tolist()
NO_CLASS = ["cat", "dog", None, "dog"] * 10
NAN_CLASS = np.where(np.arange(40) == 5, np.nan, TWO)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda f: parquet(f / "a.parquet", RAGGED), r"image 39 .* has the shape \(4, 4\), image 0 has \(4, 5\)"),
        (lambda f: parquet(f / "a.parquet", NO_NUMBER), r"image 39 .* no array of numbers, as its rows differ in le"),
        (lambda f: npz(f / "a.npz", label=np.eye(40)), r"'label' has the shape \(40, 40\); give one class for each"),
        (lambda f: parquet(f / "a.parquet", [*PICTURES[:39], b"no picture"]), r"image 39 .* is no picture that can be"),
        (lambda f: parquet(f / "a.parquet", [*PICTURES[:39], PICTURES[39][:60]]), r"image 39 \(counted from 0\) is no"),
        (lambda f: npz(f / "a.npz", image=NAN), r"image 7 \(counted from 0\), pixel 7: nan; mend it"),
        (lambda f: npz(f / "a.npz", label=LABELS[:30]), "'label' has 30 classes for 40 images"),
        (lambda f: npz(f / "a.npz", image=np.ones((40, 4))), "all pixels of the training images are 1"),
        (lambda f: npz(f / "a.npz", image=np.float64(3)), "holds no image"),
        (lambda f: npz(f / "a.npz", label=np.int64(3)), "'label' has 1 classes for 40 images"),
        (lambda f: npz(f / "a.npz", image=np.ones((40, 0))), r"image 0 \(counted from 0\) has no pixel"),
        (lambda f: npz(f / "a.npz", image=IMAGES.astype(object)), "its arrays cannot be read; write arrays of numbers"),
        (lambda f: npz(f / "a.npz", image=np.ones(40, dtype="f8,f8")), r"image 0 .* is no array of numbers"),
        (lambda f: npz(f / "a.npz", image=np.ones((0, 4)), label=LABELS[:0]), "holds no image"),
        (lambda f: npz(f / "a.npz", label=LABELS.astype(object)), "its arrays cannot be read; write arrays of numbers"),
        (lambda f: parquet(f / "a.parquet") | {"images": "picture"}, "has no column 'picture', which task.source.ima"),
        (lambda f: npz(f / "a.npz") | {"target": "class"}, "has no array 'class', .* it has image, label; for images "),
        (lambda f: npy(f / "a.npy", NAN), r"image 7 \(counted from 0\), pixel 7: nan; mend it"),
        (lambda f: npy(f / "a.npy", np.float64(3)), "holds no image"),
        (lambda f: npy(f / "a.npy", IMAGES.astype(object)), "its arrays cannot be read; write arrays of numbers"),
        (lambda f: cut_short(npy(f / "a.npy")), "its arrays cannot be read; write arrays of numbers"),
        (lambda f: parquet(f / "a.parquet", RAGGED) | {"target": None}, r"image 39 .* has the shape \(4, 4\), image 0"),
        (lambda f: parquet(f / "a.parquet", labels=NO_CLASS), r"image 2 \(counted from 0\) has no class in 'label'; g"),
        (lambda f: parquet(f / "a.parquet", labels=["cat", " "] * 20), r"image 1 \(counted from 0\) has no class in '"),
        (lambda f: parquet(f / "a.parquet", labels=NAN_CLASS), r"image 5 \(counted from 0\) has no class in 'label';"),
        (lambda f: parquet(f / "a.parquet", labels=[[1.0, 0.0]] * 40), "'label' holds list.* should hold a word or a"),
        (lambda f: npz(f / "a.npz", label=NAN_CLASS), r"image 5 \(counted from 0\) has no class in 'label'; give it o"),
        (lambda f: npz(f / "a.npz", label=np.array(["a", np.nan] * 20)), r"image 1 \(counted from 0\) has no class in"),
        (lambda f: npz(f / "a.npz", label=TWO * 1j), "'label' holds complex128; give one class for each image, a word"),
        (lambda f: npz(f / "a.npz", image=IMAGES + 1j), r"image 0 \(counted from 0\) holds complex numbers; give real"),
        (lambda f: npy(f / "a.npy", IMAGES + 0j), r"image 0 \(counted from 0\) holds complex numbers; give real ones,"),
        (lambda f: npz(f / "a.npz", image=IMAGES.astype("M8[D]")), r"image 0 \(counted from 0\) holds dates; give num"),
        (lambda f: npz(f / "a.npz", image=IMAGES.astype("m8[s]")), r"image 0 \(counted from 0\) holds durations; give"),
        (lambda f: npz(f / "a.npz", image=IMAGES.astype(str)), r"image 0 \(counted from 0\) holds text; give numbers"),
        (lambda f: parquet(f / "a.parquet") | {"images": "label", "target": None}, r"image 0 .* holds text; give numb"),
        (lambda f: npz(f / "a.npz", image=np.arange(40.0)), r"image 0 \(counted from 0\) is one number; give an array"),
        (lambda f: parquet(f / "a.parquet", [*LISTS[:9], None, *LISTS[10:]]), r"image 9 \(counted from 0\) is empty;"),
        (lambda f: parquet(f / "a.parquet", [None, *LISTS[1:]]), r"image 0 \(counted from 0\) is empty; give it its p"),
        (lambda f: parquet(f / "a.parquet", [None, *PICTURES[1:]]), r"image 0 \(counted from 0\) is empty; give it it"),
        (lambda f: npz(f / "a.npz", image=with_pixel(1e300)), r"(spread beyond the range of float64, up to 1e\+300 in "
         r"image 39 \(counted from 0\); mend it|row 39 .* too far from the training rows)"),
        (lambda f: npz(f / "a.npz", image=np.full((40, 4), 0.1)), "all pixels of the training images are 0.1; there i"),
        (lambda f: npz(f / "a.npz", image=IMAGES * 1e-200), "the pixels of the training images have a spread beyond t"),
    ],
)  # fmt: skip
def test_what_is_no_set_of_images_is_refused_in_one_line(source, message, tmp_path):
    given = experiment(source(tmp_path))
    with pytest.raises(ValueError, match=message) as told:
        prepare([given], out=tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize("suffix", [".parquet", ".npz", ".npy"])
def test_a_file_of_another_kind_is_told_apart(suffix, tmp_path):
    file = tmp_path / f"a{suffix}"
    file.write_bytes(b"not this")
    with pytest.raises(ValueError, match=rf"a\{suffix}: is no .* file that can be read"):
        prepare([experiment({"kind": "image_file", "path": str(file), "target": None})], out=tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"kind": "image_file", "path": "set.png"},
            "task.source.path 'set.png' should end in .parquet, .npz, .npy",
        ),
        (
            {"kind": "image_file", "path": "set.npy"},
            "task.source.target names 'label', and a .npy file is one array without classes; set it to null",
        ),
        (
            {"kind": "image_file", "path": "set.npz", "target": "image"},
            "task.source.target names 'image', the images",
        ),
    ],
)
def test_what_can_be_no_source_is_a_mistake_of_the_experiment(source, message):
    with pytest.raises(ConfigError, match=message):
        experiment(source)
