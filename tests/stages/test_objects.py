"""Images of objects through all five verbs in one process: learned slots beside clusters of each image by itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from precisionflow.config import resolve
from precisionflow.data.tasks.objects import drawn_part
from precisionflow.evaluation.predictor import load_predictor
from precisionflow.evaluation.tasks.objects import rand_index
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import CONTRASTS, GROUPINGS, TABLE
from precisionflow.results.layout import (
    Aggregated,
    EvaluatedCell,
    PreparedSplit,
    Reported,
    Results,
    cell_folder,
    data_folder,
)
from precisionflow.serving.answers.of_task import answers_of
from precisionflow.serving.model import ServedModel
from tests.every_stage import through_every_stage

TREE = {
    "name": "objects",
    "task": {
        "kind": "objects",
        "source": {"kind": "drawn_objects", "side": 8},
        "train": 12,
        "valid": 3,
        "test": 6,
    },
    "model": {"kind": "clusters"},
    "objective": {"kind": "free_energy"},
    "training": {"steps": 2, "batch_size": 4, "validate_every": 2},
    "engine": {"kind": "torch", "device": "cpu"},
    "seeds": [0, 1],
    "ablation": {
        "margins": {"adjusted_rand_index": {"absolute": 0.02}},
        "axes": {
            "method": {"k_means": {"model.by": "k_means"}, "slots": {"model": {"kind": "slots", "width": 4}}}
        },
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    whole = resolve(TREE)
    results = Results(tmp_path_factory.mktemp("objects"))
    return results, through_every_stage(whole, results)


def test_the_table_holds_the_mean_index_of_every_method(run):
    results, variants = run
    table = (
        read_parquet(Aggregated(results.aggregate).table, TABLE).to_pandas().set_index(["variant", "metric"])
    )
    for variant in variants:
        cells = [cell_folder(results.evaluation(variant), seed, 0) for seed in (0, 1)]
        each = [read_parquet(EvaluatedCell(cell).predictions, GROUPINGS).to_pandas() for cell in cells]
        assert [len(of) for of in each] == [6, 6]
        mean = np.mean([of["adjusted_rand_index"].mean() for of in each])
        assert table.loc[(variant.variant, "adjusted_rand_index"), "mean"] == pytest.approx(mean)
    contrasts = read_parquet(Aggregated(results.aggregate).contrasts, CONTRASTS).to_pylist()
    assert [(row["level"], row["baseline"]) for row in contrasts] == [("slots", "k_means")]


def test_an_index_is_that_of_the_pixels_of_objects(run):
    results, (clusters, _) = run
    data = data_folder(results.data, clusters, 0)
    predictor = load_predictor(
        cell_folder(results.model(clusters), 0, 0), read_card(PreparedSplit(data).card, DatasetCard)
    )
    drawn = drawn_part(clusters.task, "test", split=0)
    features = np.column_stack([drawn.groups, drawn.features.reshape(6, -1)])
    found = predictor.groups(features)
    told = read_parquet(
        EvaluatedCell(cell_folder(results.evaluation(clusters), 0, 0)).predictions, GROUPINGS
    ).to_pandas()
    indices = [rand_index(of, owner) for of, owner in zip(found, drawn.owner, strict=True)]
    np.testing.assert_allclose(told["adjusted_rand_index"], indices)
    assert told["objects"].tolist() == (drawn.groups - 1).tolist()
    owner = drawn.owner[0]
    assert rand_index(owner, owner) == 1
    assert rand_index(np.where(owner == 0, 99, owner), owner) == 1


def test_a_served_model_groups_the_pixels_of_a_table(run):
    results, (clusters, _) = run
    card = read_card(PreparedSplit(data_folder(results.data, clusters, 0)).card, DatasetCard)
    predictor = load_predictor(cell_folder(results.model(clusters), 0, 0), card)
    drawn = drawn_part(clusters.task, "test", split=0)
    features = np.column_stack([drawn.groups, drawn.features.reshape(6, -1)])
    table = pd.DataFrame(features, columns=card.feature_names)
    answers, served = answers_of(clusters.task), ServedModel(predictor, {})
    said = answers.answer(served, table, {})["groups"]
    assert [[int(word) for word in text.split()] for text in said] == predictor.groups(features).tolist()
    with pytest.raises(ValueError, match="column 'groups' is missing"):
        answers.answer(served, table.drop(columns="groups"), {})


def test_the_page_says_what_there_is_to_say(run):
    results, _ = run
    page = Path(Reported(results.report).page).read_text(encoding="utf-8")
    assert "adjusted Rand index" in page
    assert "there is nothing to calibrate" in page
