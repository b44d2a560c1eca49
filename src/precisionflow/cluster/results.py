"""Fetching what a run has written into the folders that a run on this machine has."""

import io
import json
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from precisionflow.cluster.connection import Connection
from precisionflow.cluster.errors import ClusterError
from precisionflow.cluster.objects import Objects, objects
from precisionflow.cluster.runs import artifacts_of
from precisionflow.cluster.tasks import argument
from precisionflow.config import parse
from precisionflow.records import ModelCard
from precisionflow.stage import MARKER, finished_key

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

CONTENTS = "contents.json"


def fetch(run: "V2beta1Run", *, out: Path, connection: Connection) -> tuple[int, int]:
    """Copy every finished result of a run to where it belongs in `out`; how many were fetched, how many were there."""
    root = artifacts_of(run, connection=connection)
    variants = {(v.name, v.dataset, v.variant) for v in map(parse, argument(run, "variants"))}
    with objects(connection, root=root) as store:
        fetched, kept = copy(store, root, variants=variants, out=out)
    if not fetched + kept:
        raise ClusterError(
            f"run {run.display_name}: has no results of its own yet, and those that it reuses are known "
            f"once its report is written; `precisionflow status {run.display_name}` lists its tasks"
        )
    return fetched, kept


def copy(store: Objects, root: str, *, variants: Collection[tuple[str, ...]], out: Path) -> tuple[int, int]:
    """The same for the results below `root`, and those that its report lists, of these variants alone."""
    copied: list[bool] = []
    for address in addresses(store, root):
        stages = _stages(store.keys(address))
        place = _place(store, address, stages=stages) if stages else None
        if place is not None and (len(place) < 2 or place[1:] in variants):
            target = out.joinpath(*place)
            copied += [_copied(store, f"{address}/{s}".rstrip("/"), target / s) for s in stages]
    return sum(copied), len(copied) - sum(copied)


def addresses(store: Objects, root: str) -> list[str]:
    """Where the run's results lie: what its report lists, which KFP may have taken from earlier runs, and its own."""
    own = store.keys(root)
    outputs = ["/".join(key.split("/")[:3]) for key in own if key.count("/") > 2]
    listed = [key for key in own if PurePosixPath(key).name == CONTENTS]
    earlier = [address for key in listed for address in json.loads(store.read(f"{root}/{key}"))]
    return list(dict.fromkeys([*earlier, *(f"{root}/{output}" for output in outputs)]))


def _stages(keys: Iterable[str]) -> list[str]:
    """Folders of finished stages below an artifact; "" for the artifact itself."""
    markers = [PurePosixPath(key) for key in keys if PurePosixPath(key).name == MARKER]
    return sorted("" if marker.parent == PurePosixPath() else str(marker.parent) for marker in markers)


def _place(store: Objects, address: str, *, stages: Sequence[str]) -> tuple[str, ...] | None:
    """Where an artifact's stages belong in a results folder, by what its component calls it and by what is in it."""
    first = f"{address}/{stages[0]}".rstrip("/")
    match PurePosixPath(address).name:
        case "data":
            return ("data",)
        case "model":
            card = ModelCard.model_validate_json(store.read(f"{first}/model.json"))
            made = card.experiment
            return ("model", made.name, made.dataset, made.variant)
        case "evaluation":
            table = pq.read_table(io.BytesIO(store.read(f"{first}/metrics.parquet")))
            row = table.slice(0, 1).to_pylist()[0]
            return ("evaluation", row["experiment"], row["dataset"], row["variant"])
        case "table":
            return ("aggregate",)
        case "results":
            return ()
    return None


def _copied(store: Objects, source: str, target: Path) -> bool:
    """Copy a stage's folder, whole or not at all, unless it is here; whether it was copied."""
    if finished_key(target) == json.loads(store.read(f"{source}/{MARKER}"))["key"]:
        return False
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for key in store.keys(source):
            store.download(f"{source}/{key}", partial / key)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True
