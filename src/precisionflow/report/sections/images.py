"""Images: originals, what a model of images makes of them, and those that it finds strangest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import IMAGES
from precisionflow.report.digits import significant
from precisionflow.report.drawn import Drawn
from precisionflow.report.figures.images import image_rows, shades
from precisionflow.report.material import Group, Material
from precisionflow.report.pictures import MOST_FIGURES, Picture
from precisionflow.report.section import Section
from precisionflow.report.wording import Row
from precisionflow.results.layout import EvaluatedCell


@dataclass(frozen=True)
class Shown:
    """The images of one data set."""

    dataset: str
    pictures: tuple[Picture, ...]


def section(material: Material) -> Section | None:
    """The images of every data set; none where evaluation left none."""
    groups = [Shown(group.dataset, tuple(pictures(group))) for group in material.groups]
    if not any(group.pictures for group in groups):
        return None
    return Section("Images", "sections/images.html.jinja", {"groups": groups, "several": material.several})


def pictures(group: Group) -> Iterator[Picture]:
    """The first cell of each of the first variants: the first test images, and the strangest."""
    for variant in group.variants[:MOST_FIGURES]:
        file = EvaluatedCell(group.evaluations[variant.name][0]).images
        if not file.is_file():
            continue
        rows = read_parquet(file, IMAGES).to_pylist()
        first, strangest = ([row for row in rows if row["chosen"] == of] for of in ("first", "strangest"))
        seed, split = variant.experiment.seeds[0], variant.experiment.splits[0]
        where = f"{variant.name}, seed {seed}, split {split}"
        yield Picture(
            _drawn(first, ("original", "reconstruction", "completed"), alt=f"first test images, {where}"),
            f"{where}: the first test images.",
        )
        energies = [significant(row["free_energy"], digits=2) for row in strangest]
        yield Picture(
            _drawn(
                strangest,
                ("original", "reconstruction"),
                alt=f"strangest images, {where}, free energies of a pixel {', '.join(energies)}",
                notes=energies,
            ),
            f"{where}: the strangest images.",
        )


LABELS = {"original": "original", "reconstruction": "reconstructed", "completed": "completed"}
"""Column of records.schemas.IMAGES -> what its row of images is called."""


def _drawn(rows: Sequence[Row], columns: Sequence[str], *, alt: str, notes: Sequence[str] = ()) -> Drawn:
    """A row of images for each column, in the grey of the originals' range."""
    values = [value for row in rows for value in row["original"]]
    ends = min(values), max(values)
    drawn = {
        LABELS[column]: [shades(row[column], row["shape"], ends=ends) for row in rows] for column in columns
    }
    return image_rows(drawn, alt=f"{', '.join(drawn)} {alt}", notes=notes)
