"""Results of a run, fetched from the object store into the folders that a run on this machine has."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from precisionflow.ablation.design import expand
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines.object_store import ObjectStore, object_store
from precisionflow.cluster.pipelines.runs import artifacts_of
from precisionflow.cluster.pipelines.specification import argument, text_argument
from precisionflow.config import Experiment, parse, tuned
from precisionflow.console import command
from precisionflow.records.cards import ModelCard
from precisionflow.records.failure import FailureCard
from precisionflow.records.marker import MARKER, StageCard, read_marker, sha256_of
from precisionflow.records.search import Best
from precisionflow.results.layout import EvaluatedCell, Results, TrainedCell, failure_file
from precisionflow.results.stage import finished_key
from precisionflow.search.tuning import with_found

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

CONTENTS, BEST = "contents.json", "best.json"
SEARCH = "trials"
"""Name of the artifact of the component that searches."""


def fetch(
    run: "V2beta1Run", *, experiments: Sequence[Experiment], out: Path, connection: Connection
) -> tuple[int, int]:
    """Copy every finished result of a run to where it belongs in `out`; numbers of those fetched, and already there."""
    root = artifacts_of(run, connection=connection)
    expanded = [v.experiment for experiment in experiments for v in expand(experiment)]
    variants = {(v.name, v.dataset, v.variant) for v in expanded}
    with object_store(connection, root=root) as store:
        fetched, kept = copy(store, root, variants=variants, out=out)
    if not fetched + kept:
        raise ClusterError(
            f"run {run.display_name}: has no results of its own yet, and those that it reuses are known "
            f"once its report is written; `{command('status', run.display_name)}` lists its tasks"
        )
    return fetched, kept


def experiments_of(run: "V2beta1Run", *, out: Path, connection: Connection) -> list[Experiment]:
    """Experiments that a run trains; one that searches first gets what was found.

    A search goes to `out/search`, the studies of tuned axes each to their folders in `out/tuning`. ValueError for a run
    of something else, ClusterError while the search goes on.
    """
    if texts := argument(run, "experiments"):
        return [parse(text) for text in texts]
    base, studies = text_argument(run, "experiment"), argument(run, "studies")
    if not base or not (studies or text_argument(run, "study")):
        raise ValueError(f"run {run.display_name}: is not a run of precisionflow, it has no experiments")
    root = artifacts_of(run, connection=connection)
    with object_store(connection, root=root) as store:
        results = Results(out)
        bests = copy_searches(store, root, place=results.tuning if studies else lambda _: results.search)
    if len(bests) < len(studies or (1,)):
        raise ClusterError(
            f"run {run.display_name}: its search has not ended yet; "
            f"`{command('status', run.display_name)}` lists its tasks"
        )
    whole = parse(base)
    return [with_found(whole, bests) if studies else tuned(whole, bests[0].settings)]


def copy_searches(store: ObjectStore, root: str, *, place: Callable[[str], Path]) -> list[Best]:
    """Copy the finished searches below `root` that are not here, each to the `place` of its study; what they found."""
    found: dict[str, Best] = {}
    for key in store.keys(root):
        path = PurePosixPath(key)
        if path.name == BEST and path.parent.name == SEARCH:
            source = f"{root}/{path.parent}"
            content = store.read(f"{source}/{BEST}")
            best = Best.model_validate_json(content)
            out = place(best.study)
            if not (out / BEST).exists() or (out / BEST).read_bytes() != content:
                out.parent.mkdir(parents=True, exist_ok=True)
                _replace(store, source, out)
            found[best.study] = best
    return list(found.values())


def copy(
    store: ObjectStore, root: str, *, variants: Collection[tuple[str, ...]], out: Path
) -> tuple[int, int]:
    """Copy the results of these variants below `root`, and those that its report lists; numbers as of `fetch`."""
    copied: list[bool] = []
    for address in addresses(store, root):
        keys = store.keys(address)
        stages = _stages(keys)
        place = _place(store, address, keys=keys, stages=stages) if stages else None
        if place is not None and (len(place) < 2 or place[1:] in variants):
            target = out.joinpath(*place)
            copied += [_copied(store, f"{address}/{s}".rstrip("/"), target / s) for s in stages]
    return sum(copied), len(copied) - sum(copied)


def addresses(store: ObjectStore, root: str) -> list[str]:
    """Addresses of a run's results: those that its report lists, some of earlier runs by KFP's cache, and its own."""
    own = store.keys(root)
    outputs = ["/".join(key.split("/")[:3]) for key in own if key.count("/") > 2]
    listed = [key for key in own if PurePosixPath(key).name == CONTENTS]
    earlier = [address for key in listed for address in json.loads(store.read(f"{root}/{key}"))]
    return list(dict.fromkeys([*earlier, *(f"{root}/{output}" for output in outputs)]))


def _stages(keys: Iterable[str]) -> list[str]:
    """Folders of finished stages below an artifact; "" for the artifact itself."""
    markers = [PurePosixPath(key) for key in keys if PurePosixPath(key).name == MARKER]
    return sorted("" if marker.parent == PurePosixPath() else str(marker.parent) for marker in markers)


def _place(
    store: ObjectStore, address: str, *, keys: Sequence[str], stages: Sequence[str]
) -> tuple[str, ...] | None:
    """Place of an artifact's stages in a results folder, by the artifact's name and content; none for others."""
    first, failure = f"{address}/{stages[0]}".rstrip("/"), failure_file(Path(stages[0])).as_posix()
    match PurePosixPath(address).name:
        case "model" | "evaluation" as room if failure in keys:
            with _readable(f"{address}/{failure}"):
                card = FailureCard.model_validate_json(store.read(f"{address}/{failure}"))
            return (room, card.experiment, card.dataset, card.variant)
        case "data":
            return ("data",)
        case "model":
            file = f"{first}/{TrainedCell(Path()).card}"
            with _readable(file):
                made = ModelCard.model_validate_json(store.read(file)).experiment
            return ("model", made.name, made.dataset, made.variant)
        case "evaluation":
            file = f"{first}/{EvaluatedCell(Path()).metrics}"
            with _readable(file):
                table = pq.read_table(io.BytesIO(store.read(file)), page_checksum_verification=True)
                row = table.select(["experiment", "dataset", "variant"]).slice(0, 1).to_pylist()[0]
            return ("evaluation", row["experiment"], row["dataset"], row["variant"])
        case "table":
            return ("aggregate",)
        case "results":
            return ()
    return None


_AGAIN = "fetch again, and if it stays so, submit the experiment again"


@contextlib.contextmanager
def _readable(address: str) -> Iterator[None]:
    """ClusterError with the address in the store where what was read there cannot be understood."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClusterError(f"{address}: is damaged in the object store ({reason}); {_AGAIN}") from None


def _copied(store: ObjectStore, source: str, target: Path) -> bool:
    """Copy a stage's folder, whole or not at all, unless it is here; whether it was copied."""
    with _readable(f"{source}/{MARKER}"):
        marker = StageCard.model_validate_json(store.read(f"{source}/{MARKER}"))
    if finished_key(target) == marker.key:
        return False
    _replace(store, source, target)
    return True


def _replace(store: ObjectStore, source: str, target: Path) -> None:
    """Copy a folder, whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for key in store.keys(source):
            store.download(f"{source}/{key}", partial / key)
        marker = read_marker(partial)
        for name, digest in (marker.files if marker else {}).items():
            if not (partial / name).is_file() or sha256_of(partial / name) != digest:
                raise ClusterError(f"{source}/{name}: is not what its stage wrote; {_AGAIN}")
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
