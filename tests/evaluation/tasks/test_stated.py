"""Models from outside: a network's own predictions in a file score as the network, and what a file lacks is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from trained import TABLE, Trained, trained

from precisionflow.config import overlay, resolve
from precisionflow.data.batches import Rows
from precisionflow.data.streams import Stream, Use
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.records.cards import DatasetCard, ModelCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import METRICS, PREDICTIONS, STATED
from precisionflow.results.layout import cell_folder
from precisionflow.serving.model import load_predictor
from precisionflow.training.external import check_predictions

SCALED = {"evaluation.recalibration": ["variance_scaling"], "seeds": [0]}


def metrics(cells: Trained, out: Path, split: int = 0) -> dict[str, float]:
    evaluate(cells.experiment, data=cells.data, model=cells.model, out=out)
    table = read_parquet(cell_folder(out, 0, split) / "metrics.parquet", METRICS)
    return dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True))


def stated(table: Trained, *parts: str) -> str:
    """The network's predictions of both splits as a file, the rows of a split in reverse."""
    lines = ["split,row,mean,std"]
    for split in (0, 1):
        for part in parts:
            rows = Rows.read(table.data_of(split) / f"{part}.parquet")
            scales = read_card(table.data_of(split) / "dataset.json", DatasetCard).table
            found = table.predictor(split=split).distribution(scales.restore_features(rows.features))
            each = zip(rows.rows.tolist(), found.mean.tolist(), found.std.tolist(), strict=True)
            lines += [f"{split},{row},{mean!r},{std!r}" for row, mean, std in reversed(list(each))]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def rival(tmp_path_factory: pytest.TempPathFactory, table: Trained) -> Any:
    """Variants that are a file of the network's predictions of some parts."""
    folder = tmp_path_factory.mktemp("rival")

    def made(*parts: str, **changes: Any) -> Trained:
        file = folder / f"{'-'.join(parts)}.csv"
        file.write_text(stated(table, *parts))
        model = {"model": {"kind": "predictions", "path": str(file)}}
        return trained(TABLE | model, folder / f"{len(changes)}-{file.stem}", **changes)

    return made


def test_a_networks_predictions_in_a_file_have_its_metrics(rival, table: Trained, tmp_path: Path) -> None:
    theirs = rival("valid", "test", **SCALED)
    network = Trained(resolve(overlay(TABLE, SCALED)), table.data, table.model)
    for split in (0, 1):
        own, found = metrics(network, tmp_path / "own", split), metrics(theirs, tmp_path / "theirs", split)
        assert own.keys() == found.keys()
        assert "nll_after_variance_scaling" in found
        np.testing.assert_allclose([found[name] for name in own], list(own.values()), rtol=1e-5)


def test_without_validation_rows_there_is_no_validation_loss_and_no_recalibration(
    rival, tmp_path: Path
) -> None:
    theirs = rival("test")
    assert "validation_loss" not in metrics(theirs, tmp_path / "plain")
    asked = theirs._replace(experiment=resolve(overlay(TABLE | {"model": theirs.experiment.model}, SCALED)))
    message = r"^evaluation.recalibration: .*does not predict (the )?validation row"
    with pytest.raises(ValueError, match=message):
        metrics(asked, tmp_path / "asked")
    with pytest.raises(ValueError, match=message):
        check_predictions(asked.experiment, data=asked.data)


def test_a_file_that_lacks_a_test_row_is_refused_before_training(rival) -> None:
    lacking = rival("test").experiment.model.path
    text = Path(lacking).read_text().splitlines(keepends=True)
    Path(lacking).write_text("".join(text[:1] + text[2:]))
    experiment = rival("valid", "test").experiment
    changed = experiment.model_copy(update={"model": experiment.model.model_copy(update={"path": lacking})})
    with pytest.raises(ValueError, match=r"test row \d+ of split 0 has no prediction \(1 of 44 have none\)"):
        check_predictions(changed, data=Path(lacking).parent / "0-valid-test" / "data")


def test_boosted_trees_are_a_variant_by_their_name(tmp_path: Path) -> None:
    """Their mean is scikit-learn's, and their std is one for each row, in the target's units."""
    model = {"model": {"kind": "boosted_trees", "max_iter": 40}}
    cells = trained(TABLE | model, tmp_path, seeds=[0], splits=[0])
    evaluate(cells.experiment, data=cells.data, model=cells.model, out=tmp_path / "out")
    parts = {part: Rows.read(cells.data_of() / f"{part}.parquet") for part in ("train", "valid", "test")}
    (train, target), (valid, held) = (
        (parts[part].features.astype(float), parts[part].target.astype(float)) for part in ("train", "valid")
    )
    drawn = Stream(0, 0).number(Use.WEIGHTS) % 2**32
    own = HistGradientBoostingRegressor(
        max_iter=40, early_stopping=True, n_iter_no_change=20, random_state=drawn
    ).fit(train, target, X_val=valid, y_val=held)
    scales = read_card(cells.data_of() / "dataset.json", DatasetCard).table
    mean = scales.restore_target(own.predict(parts["test"].features.astype(float)))
    predictions = read_parquet(cell_folder(tmp_path / "out", 0, 0) / "predictions.parquet", PREDICTIONS)
    np.testing.assert_allclose(predictions["mean"].to_numpy(), mean, rtol=1e-6)
    std = predictions["std"].to_numpy()
    assert len(np.unique(std)) > 5
    assert 0.2 < std.mean() / scales.target_scale < 1.5


def test_a_ridge_variant_is_scikit_learns_own_fit_on_the_prepared_rows(tmp_path: Path) -> None:
    cells = trained(TABLE | {"model": {"kind": "ridge", "alpha": 2.5}}, tmp_path, seeds=[0])
    evaluate(cells.experiment, data=cells.data, model=cells.model, out=tmp_path / "out")
    parts = {part: Rows.read(cells.data_of() / f"{part}.parquet") for part in ("train", "valid", "test")}
    scales = read_card(cells.data_of() / "dataset.json", DatasetCard).table
    own = Ridge(alpha=2.5).fit(parts["train"].features.astype(float), parts["train"].target.astype(float))
    mean = scales.restore_target(own.predict(parts["test"].features.astype(float)))
    left = own.predict(parts["valid"].features.astype(float)) - parts["valid"].target
    predictions = read_parquet(cell_folder(tmp_path / "out", 0, 0) / "predictions.parquet", PREDICTIONS)
    np.testing.assert_allclose(predictions["mean"].to_numpy(), mean, rtol=1e-6)
    np.testing.assert_allclose(
        predictions["std"].to_numpy(), scales.target_scale * np.sqrt(np.mean(left**2)), rtol=1e-6
    )
    cell = cell_folder(cells.model, 0, 0)
    assert {file.name for file in cell.iterdir()} == {
        "stated.parquet",
        "model.json",
        "history.parquet",
        "stage.json",
    }
    assert set(read_parquet(cell / "stated.parquet", STATED)["part"].to_pylist()) == {"valid", "test"}
    assert read_card(cell / "model.json", ModelCard).parameters is None


def test_a_seed_decides_what_an_estimator_draws(tmp_path: Path) -> None:
    forest = {"model": {"kind": "random_forest", "n_estimators": 3}}
    cells = trained(TABLE | forest, tmp_path, splits=[0])
    first, second = (
        read_parquet(cell_folder(cells.model, seed, 0) / "stated.parquet", STATED)["mean"].to_numpy()
        for seed in (0, 1)
    )
    assert not np.allclose(first, second)


def test_predicting_other_rows_is_refused(tmp_path: Path) -> None:
    cells = trained(TABLE | {"model": {"kind": "bayesian_ridge"}}, tmp_path, seeds=[0], splits=[0])
    with pytest.raises(
        ValueError, match=r"model.kind bayesian_ridge states predictions of its validation and test"
    ):
        load_predictor(cell_folder(cells.model, 0, 0))
