"""Results of a run, fetched from the object store into the folders that a run on this machine has."""

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa

from precisionflow.ablation.design import expand
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines.object_store import ObjectStore, object_store
from precisionflow.cluster.pipelines.runs import artifacts_of
from precisionflow.cluster.pipelines.specification import argument, text_argument
from precisionflow.config import Experiment, parse, resolve, tuned
from precisionflow.config.load import mapping
from precisionflow.console import command
from precisionflow.records.marker import MARKER, StageCard, read_marker, sha256_of
from precisionflow.records.search import Best
from precisionflow.results.layout import Results
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
        asked = {"cluster": json.loads(asked)} if (asked := text_argument(run, "cluster")) else {}
        return [resolve({**mapping(text, "experiment"), **asked}) for text in texts]
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
        room = _ROOMS.get(PurePosixPath(address).name)
        for stage in _stages(store.keys(address)) if room is not None else ():
            if room not in _OF_VARIANTS or PurePosixPath(stage).parts[:3] in variants:
                copied.append(_copied(store, f"{address}/{stage}".rstrip("/"), out / str(room) / stage))
    return sum(copied), len(copied) - sum(copied)


_OF_VARIANTS = ("model", "evaluation")
_ROOMS = {"data": "data", "model": "model", "evaluation": "evaluation", "table": "aggregate", "results": ""}
"""Name of an artifact of stages -> where these lie in a results folder."""


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
