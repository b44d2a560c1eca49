"""Results folders and runs of MLflow beside each other: scores, paired contrasts with the first, what differs."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from precisionflow.ablation.compared import Compared, Side, compare
from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.design import Variant, expand, unit_of
from precisionflow.ablation.measured import Measured, read_metrics
from precisionflow.app.standing import Standing, something_standing
from precisionflow.app.table import Form, give
from precisionflow.config import Experiment, tuned
from precisionflow.console import note
from precisionflow.records.marker import read_marker
from precisionflow.report import tables, wording
from precisionflow.report.numbers import numbers
from precisionflow.report.tables import Entry, Table
from precisionflow.results.cells import Cell
from precisionflow.results.failures import parted
from precisionflow.results.layout import Results, cell_folders
from precisionflow.tracking.parameters import parameters
from precisionflow.tracking.recalled import Recalled, recalled

RUN = "mlflow:"
"""Beginning of the id of an MLflow run among results folders."""
BEGINNING = 8
"""Characters of an id that tell runs of one name apart."""
UNLIKE = ("name", "question", "variant", "called", "ablation", "gate", "seeds", "splits")
"""Parts of a configuration that say nothing of how a variant was trained and scored."""


@dataclass(frozen=True)
class Given(ABC):
    """What is compared, and what was measured in it."""

    label: str
    variants: tuple[tuple[Experiment, Variant], ...]
    """Those with a cell, with their experiments."""
    measured: Measured

    @abstractmethod
    def test_rows(self, variant: Experiment, split: int) -> str:
        """Digest of the prepared test rows, which are standardised by the rows that were learned from."""

    @abstractmethod
    def code(self, variant: Experiment) -> dict[str, str]:
        """Verb -> the code that did it, of those verbs that are known."""

    def on(self, dataset: str) -> list[tuple[Experiment, Variant]]:
        """Variants on one data set."""
        return [(whole, variant) for whole, variant in self.variants if variant.dataset == dataset]


@dataclass(frozen=True)
class Folder(Given):
    """A results folder."""

    results: Results

    def test_rows(self, variant: Experiment, split: int) -> str:
        wanted = (variant.name, variant.dataset, variant.variant, split)
        return next(
            scores.test
            for cell, scores in self.measured.items()
            if (cell.experiment, cell.dataset, cell.variant, cell.split) == wanted
        )

    def code(self, variant: Experiment) -> dict[str, str]:
        found = {}
        for verb, root in (
            ("train", self.results.model(variant)),
            ("evaluate", self.results.evaluation(variant)),
        ):
            codes = {marker.code for folder in root.glob("seed-*-split-*") if (marker := read_marker(folder))}
            found[verb] = ", ".join(sorted(codes))
        return found


@dataclass(frozen=True)
class Tracked(Given):
    """A run of MLflow."""

    run: Recalled

    def test_rows(self, variant: Experiment, split: int) -> str:
        return next(digest for cell, digest in self._of(self.run.test, variant) if cell.split == split)

    def code(self, variant: Experiment) -> dict[str, str]:
        codes = {code.rpartition("+")[2] for _, code in self._of(self.run.code, variant)}
        return {"train": ", ".join(sorted(codes))}

    def _of(self, found: dict[Cell, str], variant: Experiment) -> list[tuple[Cell, str]]:
        wanted = (variant.name, variant.dataset, variant.variant)
        return [(c, text) for c, text in found.items() if (c.experiment, c.dataset, c.variant) == wanted]


def compare_results(
    names: Sequence[str],
    *,
    form: Form,
    metrics: Sequence[str],
    out: Path | None,
    store: Path | None = None,
) -> None:
    """Scores beside each other, and contrasts with the first; a name is a results folder or mlflow:RUN_ID.

    Runs are of the server of MLFLOW_TRACKING_URI, or of the results folder `store`. Variants of one name on one data
    set are compared, or the only ones there, whatever their names. ValueError where none are, where their seeds, splits
    or test rows differ, and for a metric that one of them did not measure.
    """
    if len(names) < 2:
        raise ValueError("compare: give two results folders or more, the baseline first")
    runs = {name: recalled(name.removeprefix(RUN), store=store) for name in names if name.startswith(RUN)}
    labels = _labels(names, runs)
    with contextlib.ExitStack() as opened:
        stand = {
            name: opened.enter_context(something_standing(Path(name))) for name in names if name not in runs
        }
        rule = ["ablation.missing=drop_pair"] if any(there.open for there in stand.values()) else []
        found = [
            _of_a_run(label, runs[name], rule)
            if name in runs
            else _read(Path(name), label, stand[name], rule)
            for name, label in zip(names, labels, strict=True)
        ]
        for given in found:
            if not given.variants:
                raise ValueError(f"compare: {given.label} has no cell that ended well; leave it out")
        for name, label in zip(names, labels, strict=True):
            if name in stand and stand[name].told:
                note(f"{label}: {stand[name].told}")
        compared = [(compare(sides, metrics=metrics), sides) for sides in _sides(found)]
    if form == "csv":
        scores = [row for each, _ in compared for row in each.scores]
        shown = [numbers(scores, [row for each, _ in compared for row in each.contrasts])]
    else:
        shown = [table for each, sides in compared for table in _tables(each, sides, found)]
    give(shown, form=form, out=out)


def _labels(names: Sequence[str], runs: Mapping[str, Recalled]) -> list[str]:
    """Own names of folders and runs where they differ; else what was given, of runs with their name in its place."""
    short = [runs[name].name if name in runs else Path(name).resolve().name for name in names]
    longer = [
        f"{runs[name].name} {name.removeprefix(RUN)[:BEGINNING]}" if name in runs else name for name in names
    ]
    labels = next((of for of in (short, longer) if len(set(of)) == len(of)), list(names))
    if len(set(labels)) < len(labels):
        raise ValueError(f"compare: {', '.join(labels)}: one of them stands there twice; leave it out")
    return labels


def _read(folder: Path, label: str, there: Standing, settings: Sequence[str]) -> Folder:
    measured = read_metrics(parted(cell_folders(there.evaluations))[0])
    return Folder(label, _variants(there.experiments, measured, settings), measured, Results(folder))


def _of_a_run(label: str, run: Recalled, settings: Sequence[str]) -> Tracked:
    return Tracked(label, _variants([run.experiment], run.measured, settings), run.measured, run)


def _variants(
    experiments: Sequence[Experiment], measured: Measured, settings: Sequence[str]
) -> tuple[tuple[Experiment, Variant], ...]:
    """Variants with a cell, with their experiments, into which settings are merged."""
    known = {(cell.experiment, cell.dataset, cell.variant) for cell in measured}
    return tuple(
        (tuned(whole, settings), variant)
        for whole in experiments
        for variant in expand(whole)
        if (whole.name, variant.dataset, variant.name) in known
    )


def _sides(folders: Sequence[Given]) -> Iterator[list[Side]]:
    """What is compared, data set by data set."""
    first, *others = folders
    nothing = True
    for dataset in dict.fromkeys(variant.dataset for _, variant in first.variants):
        rivals = [folder for folder in others if folder.on(dataset)]
        key = _key([first, *rivals], dataset) if rivals else None
        if key is None:
            continue
        nothing = False
        sides = [_side(folder, dataset, key) for folder in (first, *rivals)]
        for rival, side in zip(rivals, sides[1:], strict=True):
            _check_rows((first, sides[0]), (rival, side))
        yield sides
    if nothing:
        there = "; ".join(
            f"{folder.label} has {', '.join(f'{v.name} on {v.dataset}' for _, v in folder.variants)}"
            for folder in folders
        )
        raise ValueError(f"compare: no variant of one name is on one data set ({there}); give other folders")


Key = Callable[[Experiment, Variant], str]
_KEYS: tuple[Key, ...] = (
    lambda _, variant: variant.name,
    lambda whole, variant: f"{whole.name} {variant.name}",
    lambda _, variant: f"all on {variant.dataset}",
)
"""What variants can be alike in, the likelier first."""


def _key(folders: Sequence[Given], dataset: str) -> Key | None:
    """The first key that tells the variants of each folder apart, and that the first one shares with another."""
    for key in _KEYS:
        named = [[key(*each) for each in folder.on(dataset)] for folder in folders]
        if all(len(set(names)) == len(names) for names in named) and any(
            set(named[0]) & set(names) for names in named[1:]
        ):
            return key
    return None


def _side(folder: Given, dataset: str, key: Key) -> Side:
    found = folder.on(dataset)
    wholes = {key(*each): each[0] for each in found}
    return Side(folder.label, wholes, {key(*each): each[1] for each in found}, folder.measured)


def _check_rows(one: tuple[Given, Side], other: tuple[Given, Side]) -> None:
    """ValueError where two folders test a variant on other rows."""
    (first, ours), (second, theirs) = one, other
    for key in (key for key in ours.variants if key in theirs.variants):
        variant, rival = ours.variants[key].experiment, theirs.variants[key].experiment
        for split in sorted(set(variant.splits) & set(rival.splits)):
            if first.test_rows(variant, split) != second.test_rows(rival, split):
                raise ValueError(
                    f"{key} on {variant.dataset}, split {split}: {first.label} and {second.label} test other rows, or "
                    "learn from others; compare runs on the same data"
                )


def _tables(compared: Compared, sides: Sequence[Side], folders: Sequence[Given]) -> Iterator[Table]:
    experiment = compared.experiment
    where = f"{experiment.name} on {compared.dataset}"
    interval = wording.interval_name(experiment.ablation.confidence)
    yield _beside(compared, f"{where}: mean ± half of the {interval}, n {unit_of(experiment)}s")
    caption = f"{where}: {wording.outcome(compared.contrasts, experiment.ablation.margins)}"
    levels = {variant.name: variant.levels for variant in compared.variants}
    yield tables.contrast_table(compared.contrasts, levels, caption=caption)
    if rows := _differences(sides, folders):
        headings = ("variant", "differs in", *(side.label for side in sides))
        body = tuple(tuple(map(Entry, row)) for row in rows)
        yield Table(f"{where}: what differs beside the results", tuple(map(Entry, headings)), body)


def _beside(compared: Compared, caption: str) -> Table:
    """A row for each variant and metric, a column for each folder."""
    levels = {variant.name: variant.levels for variant in compared.variants}
    labels = list(dict.fromkeys(variant.levels["folder"] for variant in compared.variants))
    found = {
        (levels[row["variant"]]["variant"], row["metric"], levels[row["variant"]]["folder"]): row
        for row in compared.scores
    }
    metrics = [metric.name for metric in contrasted(compared.experiment)]
    body = []
    for key in dict.fromkeys(key for key, _, _ in found):
        for metric in metrics:
            rows = [found.get((key, metric, label)) for label in labels]
            texts = ["—" if row is None else wording.plus_minus(row) for row in rows]
            n = "/".join(dict.fromkeys(str(row["n"]) for row in rows if row))
            body.append((Entry(key), Entry(metric), *map(Entry, texts), Entry(n)))
    headings = ("variant", "metric", *labels, "n")
    return Table(caption, tuple(map(Entry, headings)), tuple(body))


def _differences(sides: Sequence[Side], folders: Sequence[Given]) -> list[list[str]]:
    """Variant, dotted key and the values of it, for what is not the same in all folders; once for equal values."""
    rows: dict[tuple[str, ...], str] = {}
    given = {folder.label: folder for folder in folders}
    verbs = set.intersection(*(set(each.code(each.variants[0][1].experiment)) for each in folders))
    for key in sides[0].variants:
        found = [
            _configuration(given[side.label], side.variants[key].experiment, verbs)
            if key in side.variants
            else {}
            for side in sides
        ]
        for name in dict.fromkeys(name for each in found for name in each):
            values = tuple(each.get(name, "—") for each in found)
            if len({value for value, each in zip(values, found, strict=True) if each}) > 1:
                rows.setdefault((name, *values), key)
    return [[key, *row] for row, key in rows.items()]


def _configuration(given: Given, variant: Experiment, verbs: Collection[str]) -> dict[str, str]:
    """What a variant was trained and scored with, and by which code, of the verbs that all know it of."""
    said = {name.removeprefix("cfg."): value for name, value in parameters(variant, on_cluster=False).items()}
    kept = {name: value for name, value in said.items() if name.split(".")[0] not in UNLIKE}
    kept |= {f"code of {verb}": code for verb, code in given.code(variant).items() if verb in verbs}
    return kept
