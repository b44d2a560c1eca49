"""Results of a run, copied from a store into the folders of a run on this machine."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from kfp_server_api import V2beta1Run, V2beta1RuntimeConfig

from precisionflow.ablation.design import expand
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.pipelines import fetch
from precisionflow.config import resolve
from precisionflow.records.files import read_card, write_card
from precisionflow.records.search import Best
from precisionflow.results.failures import failure_of, write_failure
from precisionflow.results.layout import Results, cell_folder, variant_folder, variant_path
from precisionflow.results.stage import finished_key, once
from precisionflow.search.tuning import tuned_levels
from tests.trained import TABLE, trained


class Folder:
    """A store whose addresses are paths below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.downloads = 0

    def keys(self, address: str) -> list[str]:
        place = self.root / address
        return sorted(str(file.relative_to(place)) for file in place.rglob("*") if file.is_file())

    def read(self, address: str) -> bytes:
        return (self.root / address).read_bytes()

    def download(self, address: str, path: Path) -> None:
        self.downloads += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.root / address, path)


def test_results_go_where_a_run_on_this_machine_has_them(tmp_path: Path) -> None:
    """Data and weights of an earlier run, which the report lists; the rest of this one."""
    small = {"seeds": [0], "splits": [0, 1], "training.steps": 2, "training.validate_every": 1}
    experiment, data, model = trained(TABLE, tmp_path / "here", **small)
    store, out = Folder(tmp_path / "store"), tmp_path / "out"
    shutil.copytree(data, store.root / "old" / "prepare" / "1" / "data")
    shutil.copytree(model, store.root / "old" / "train" / "2" / "model" / "/".join(variant_path(experiment)))
    (store.root / "new" / "report" / "3" / "results").mkdir(parents=True)
    listed = ["old/train/2/model", "old/prepare/1/data"]
    (store.root / "new" / "report" / "3" / "results" / "contents.json").write_text(json.dumps(listed))
    assert fetch.addresses(store, "new") == [*listed, "new/report/3/results"]
    known = {variant_path(experiment)}
    assert fetch.copy(store, "new", variants=known, out=out) == (4, 0)
    for seed, split in ((0, 0), (0, 1)):
        where = ("model", experiment.name, experiment.dataset, experiment.variant)
        assert finished_key(cell_folder(out.joinpath(*where), seed, split))
    assert sorted(str(f.relative_to(out / "data")) for f in (out / "data").rglob("*")) == sorted(
        str(f.relative_to(data)) for f in data.rglob("*")
    )
    before = store.downloads
    assert fetch.copy(store, "new", variants=known, out=out) == (0, 4)
    assert store.downloads == before
    (out.joinpath(*where) / "seed-0-split-0" / "stage.json").unlink()
    assert fetch.copy(store, "new", variants=known, out=out) == (1, 3)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "history.parquet", "stage.json"])
def test_what_the_store_has_damaged_is_not_fetched(name: str, tmp_path: Path) -> None:
    experiment, _, model = trained(TABLE, tmp_path / "here", seeds=[0], splits=[0], **{"training.steps": 20})
    store, out = Folder(tmp_path / "store"), tmp_path / "out"
    shutil.copytree(model, store.root / "run" / "train" / "1" / "model" / "/".join(variant_path(experiment)))
    place = Path("run", "train", "1", "model", *variant_path(experiment), "seed-0-split-0")
    file = store.root / place / name
    data = file.read_bytes()
    file.write_bytes(data[:2] + bytes([data[2] ^ 128]) + data[3:])
    known = {variant_path(experiment)}
    said = rf"^{place}/{name}: is .*; fetch again, and if it stays so, submit .* again$"
    with pytest.raises(ClusterError, match=said):
        fetch.copy(store, "run", variants=known, out=out)
    assert not [path for path in out.rglob("*") if path.is_file()]


def test_what_belongs_to_no_variant_of_the_run_is_left_alone(tmp_path: Path) -> None:
    experiment, _, model = trained(TABLE, tmp_path / "here", seeds=[0], splits=[0], **{"training.steps": 20})
    store = Folder(tmp_path / "store")
    shutil.copytree(model, store.root / "run" / "train" / "1" / "model" / "/".join(variant_path(experiment)))
    assert resolve(experiment.model_dump(mode="json")).variant == "default"
    assert fetch.copy(store, "run", variants=set(), out=tmp_path / "out") == (0, 0)
    assert not (tmp_path / "out").exists()


def test_a_search_is_copied_once_and_says_its_best(tmp_path: Path) -> None:
    store, out = Folder(tmp_path / "store"), tmp_path / "out" / "search"

    def copied() -> list[Best]:
        return fetch.copy_searches(store, "run", place=lambda _: out)

    assert copied() == []
    folder = store.root / "run" / "launch-search" / "7" / "trials"
    (folder / "report").mkdir(parents=True)
    best = Best(study="s", trial="t", settings=("training.steps=7",), metric="nll", value=1.0, trials=2)
    write_card(best, folder / "best.json")
    (folder / "report" / "search.html").write_text("page")
    assert copied() == [best]
    assert (out / "report" / "search.html").read_text() == "page"
    before = store.downloads
    assert copied() == [best]
    assert store.downloads == before == 2
    write_card(best.model_copy(update={"trials": 3}), folder / "best.json")
    assert copied()[0].trials == 3


def test_the_studies_of_tuned_axes_have_a_folder_each(tmp_path: Path) -> None:
    store, results = Folder(tmp_path / "store"), Results(tmp_path / "out")
    bests = [
        Best(study=f"tune-{k}", trial="t", settings=(), metric="validation_loss", value=k, trials=2)
        for k in (0, 1)
    ]
    for place, best in enumerate(bests):
        folder = store.root / "run" / "launch-search" / str(place) / "trials"
        folder.mkdir(parents=True)
        write_card(best, folder / "best.json")
    assert fetch.copy_searches(store, "run", place=results.tuning) == bests
    assert read_card(results.tuning("tune-1") / "best.json", Best) == bests[1]


def test_what_a_run_trains(tmp_path: Path) -> None:
    """A run of experiments names them; one that neither has nor searches for them is somebody else's."""
    text = resolve(TABLE).model_dump_json()
    ours = V2beta1Run(
        display_name="mine", runtime_config=V2beta1RuntimeConfig(parameters={"experiments": [text]})
    )
    nobody: Any = None
    assert fetch.experiments_of(ours, out=tmp_path, connection=nobody) == [resolve(TABLE)]
    other = V2beta1Run(
        display_name="other", runtime_config=V2beta1RuntimeConfig(parameters={"experiment": text})
    )
    with pytest.raises(ValueError, match=r"^run other: is not a run of precisionflow"):
        fetch.experiments_of(other, out=tmp_path, connection=nobody)


def test_a_run_with_tuned_axes_trains_what_its_studies_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"noise": {"one": {"objective.kind": "homoscedastic"}, "own": {"objective.kind": "gaussian_nll"}}}
    tuned = {
        "axes": ["noise"],
        "trials": 2,
        "parameters": {"training.learning_rate": {"low": 0.1, "high": 1}},
    }
    whole = resolve({"name": "tiny"} | TABLE | {"ablation": {"axes": axes, "tuned": tuned}})
    studies, store = list(tuned_levels(whole)), Folder(tmp_path / "store")
    given = {"experiment": whole.model_dump_json(), "studies": [json.dumps(name) for name in studies]}
    run = V2beta1Run(display_name="mine", runtime_config=V2beta1RuntimeConfig(parameters=given))
    monkeypatch.setattr(fetch, "artifacts_of", lambda _run, connection: "run")  # noqa: ARG005
    monkeypatch.setattr(fetch, "object_store", lambda _connection, root: contextlib.nullcontext(store))  # noqa: ARG005
    nobody: Any = None
    for place, name in enumerate(studies):
        with pytest.raises(ClusterError, match="its search has not ended yet"):
            fetch.experiments_of(run, out=tmp_path / "out", connection=nobody)
        settings = (f"training.learning_rate=0.{place + 1}",)
        best = Best(study=name, trial="t", settings=settings, metric="validation_loss", value=1.0, trials=2)
        folder = store.root / "run" / "launch-search" / str(place) / "trials"
        folder.mkdir(parents=True)
        write_card(best, folder / "best.json")
    (found,) = fetch.experiments_of(run, out=tmp_path / "out", connection=nobody)
    assert [v.experiment.training.learning_rate for v in expand(found)] == [0.1, 0.2]


@pytest.mark.parametrize("room", ["model", "evaluation"])
def test_a_cell_that_failed_says_whose_it_is(room: str, tmp_path: Path) -> None:
    """Though it has neither a model nor metrics."""
    variant = resolve({"name": "tiny"} | TABLE)
    store, out = Folder(tmp_path / "store"), tmp_path / "out"
    once(
        cell_folder(variant_folder(store.root / "run" / "task" / "1" / room, variant), 0, 0),
        verb="train",
        inputs=1,
        work=lambda folder: write_failure(
            folder, variant, seed=0, split=0, stage="train", error=ValueError("diverged")
        ),
    )
    where = variant_path(variant)
    assert fetch.copy(store, "run", variants={where}, out=out) == (1, 0)
    card = failure_of(cell_folder(out.joinpath(room, *where), 0, 0))
    assert card
    assert card.cause == "diverged"
