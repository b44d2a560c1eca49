"""A model of images from file to answers: what is measured, what it sees, how a cell goes on, what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from trained import Trained, trained

from precisionflow.ablation.design import expand
from precisionflow.config.learning import Gradient, Secant
from precisionflow.data.batches import Rows
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.evaluation.scores.images import PrincipalComponents
from precisionflow.evaluation.tasks.images import shuffled_pixels
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CLASS_PREDICTIONS, IMAGE_PREDICTIONS, IMAGES, METRICS
from precisionflow.report.tasks.arm import of_task
from precisionflow.results.layout import PreparedSplit, cell_folder
from precisionflow.serving.answers.of_task import answers_of
from precisionflow.serving.endpoints.assembled import endpoints_of
from precisionflow.serving.model import load_predictor

PIXELS, HALF = 12, 4
"""Images have three rows, of which the upper one is seen."""
UPPER = np.arange(PIXELS) < HALF
NOISE = 0.3
MEANS = np.array([[-2.5, 0.0], [2.5, 0.0], [0.0, 7.0]])
BOUNDS = {"initial": 1.0, "lowest": 0.01, "highest": 1e3}
TREE = {
    "name": "images",
    "model": {"kind": "generative", "states": [2]},
    "objective": {"kind": "free_energy"},
    "learning": {
        "kind": "predictive_coding",
        "descent": {"kind": "gauss_newton"},
        "step_size": 1.0,
        "iterations": 1,
        "precision": {"kind": "learned"} | BOUNDS,
    },
    "training": {
        "steps": 300,
        "batch_size": 64,
        "learning_rate": 0.05,
        "schedule": "cosine",
        "validate_every": 150,
    },
    "engine": {"kind": "torch", "device": "cpu"},
    "evaluation": {"recalibration": ["temperature"], "levels": [0.5, 0.9]},
}


def images_of(classes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """2 hidden numbers about those of the class give an image of 12 pixels, with noise of one variance."""
    loadings = np.random.default_rng(0).normal(size=(2, PIXELS))
    hidden = MEANS[classes] + random.normal(size=(len(classes), 2))
    return hidden @ loadings + NOISE * random.normal(size=(len(classes), PIXELS))


def written(file: Path) -> Path:
    """600 images of the classes a, b and c."""
    random = np.random.default_rng(1)
    classes = np.arange(600) % 3
    images = images_of(classes, random).reshape(-1, 3, 4)
    table = {"image": images.tolist(), "label": [["a", "b", "c"][of] for of in classes]}
    pq.write_table(pa.table(table), file)
    return file


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """(run, folder of the evaluated cell); class c is unknown."""
    folder = tmp_path_factory.mktemp("images")
    source = {"kind": "image_file", "path": str(written(folder / "set.parquet"))}
    task = {"kind": "images", "source": source, "unknown": ["c"]}
    run = trained(TREE | {"task": task}, folder)
    evaluate(run.experiment, data=run.data, model=run.model, out=folder / "evaluation")
    return run, cell_folder(folder / "evaluation", 0, 0)


@pytest.fixture(scope="module")
def values(run: tuple[Trained, Path]) -> dict[str, float]:
    rows = read_parquet(run[1] / "metrics.parquet", METRICS).to_pylist()
    return {row["metric"]: row["value"] for row in rows}


def parts(run: Trained) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised training images, test images and images of the unknown class."""
    place = PreparedSplit(run.data_of())
    files = (place.part("train"), place.part("test"), place.unknown)
    return tuple(Rows.read(file).features for file in files)  # type: ignore[return-value]


def test_every_promised_metric_is_measured(run, values):
    experiment = run[0].experiment
    assert set(values) == set(experiment.metrics)
    assert values["accuracy"] > 0.95
    predictions = read_parquet(run[1] / "predictions.parquet", CLASS_PREDICTIONS).to_pandas()
    assert values["nll"] == pytest.approx(-predictions["log_probability"].mean())


def test_classes_are_told_by_free_energies_of_the_image_alone(run):
    predictor, (_, test, _) = run[0].predictor(), parts(run[0])
    images = torch.from_numpy(test)
    each = [
        predictor.model.infer(images, torch.full((len(images),), of)).free_energies.detach() for of in (0, 1)
    ]
    expected = (-torch.stack(each, dim=1)).double().log_softmax(dim=1)
    stated = predictor.standardised(images)
    np.testing.assert_allclose(stated.log_probabilities, expected.numpy(), atol=1e-4)
    marginal = -torch.logsumexp(-torch.stack(each, dim=1).double(), dim=1) + np.log(2)
    np.testing.assert_allclose(stated.energy, marginal.numpy(), rtol=1e-5)
    few = predictor.standardised(images[:7])
    np.testing.assert_allclose(few.log_probabilities, stated.log_probabilities[:7], atol=1e-4)


def test_images_that_are_unlike_have_a_higher_free_energy(run, values):
    predictor, (_, test, strange) = run[0].predictor(), parts(run[0])
    known, unknown = (predictor.standardised(torch.from_numpy(of)).energy for of in (test, strange))
    target = np.repeat([0, 1], [len(known), len(unknown)])
    assert values["ood_auroc_energy"] == pytest.approx(
        roc_auc_score(target, np.concatenate([known, unknown]))
    )
    assert values["ood_auroc_energy"] > 0.95
    assert values["ood_auroc_shuffled"] > 0.95
    assert values["free_energy"] == pytest.approx(known.mean() / PIXELS)


def test_reconstruction_and_completion_stand_beside_principal_components(run, values):
    predictor, (train, test, _) = run[0].predictor(), parts(run[0])
    components = PCA(2).fit(train)
    linear = components.inverse_transform(components.transform(test))
    assert values["reconstruction_error_pca"] == pytest.approx(np.square(linear - test).mean(), rel=1e-4)
    assert values["reconstruction_error"] == pytest.approx(values["reconstruction_error_pca"], rel=0.1)
    completed = PrincipalComponents.fit(train, count=2).completed(test, seen=UPPER)[:, HALF:]
    assert values["completion_error_pca"] == pytest.approx(np.square(completed - test[:, HALF:]).mean())
    assert values["completion_error"] == pytest.approx(values["completion_error_pca"], rel=0.1)
    stated = predictor.seen(torch.from_numpy(test))
    assert values["reconstruction_error"] == pytest.approx(
        float((stated.from_the_top - torch.from_numpy(test)).square().mean())
    )


def test_the_learned_precision_is_that_of_the_noise(run):
    predictor = run[0].predictor()
    scale = predictor.data_card.table.feature_scale[0]
    found = predictor.model.image_law.precision(torch.zeros(1, PIXELS)).detach()
    assert float(found) == pytest.approx((scale / NOISE) ** 2, rel=0.05)


def test_the_missing_half_is_not_seen_and_its_intervals_are_true(run, values):
    """Data of the model's own form: 90 % of the missing pixels lie inside, and their errors are as large as said."""
    predictor, (_, test, _) = run[0].predictor(), parts(run[0])
    known = torch.ones(test.shape)
    known[:, HALF:] = 0
    images = torch.from_numpy(test)
    given, other = images.clone(), images.clone()
    other[:, HALF:] = 7.0
    seen, blind = predictor.seen(given, known=known), predictor.seen(other, known=known)
    torch.testing.assert_close(seen.completed, blind.completed)
    lost = images[:, HALF:]
    error = (seen.completed[:, HALF:] - lost).square()
    assert values["completion_error"] == pytest.approx(float(error.mean()))
    normal = torch.special.ndtri(seen.pit[:, HALF:])
    assert float(normal.square().mean()) == pytest.approx(1, rel=0.25)
    pit = seen.pit[:, HALF:].numpy()
    assert values["coverage_90"] == pytest.approx((np.abs(pit - 0.5) <= 0.45).mean())
    assert values["coverage_90"] == pytest.approx(0.9, abs=0.05)
    assert values["coverage_50"] == pytest.approx(0.5, abs=0.1)
    assert values["pit_error"] < 0.005


def test_what_is_shown_are_the_first_images_and_those_of_the_highest_free_energy(run):
    """In their own units, the upper half of a completed image as it is, the strangest among unknown classes too."""
    predictor, (_, test, strange) = run[0].predictor(), parts(run[0])
    shown = read_parquet(run[1] / "images.parquet", IMAGES).to_pandas()
    first, strangest = (shown[shown["chosen"] == of] for of in ("first", "strangest"))
    place = PreparedSplit(run[0].data_of())
    rows = [Rows.read(file).rows for file in (place.part("test"), place.unknown)]
    assert first["row"].tolist() == rows[0][:8].tolist()
    both = torch.from_numpy(np.concatenate([test, strange]))
    energies = predictor.standardised(both).energy / PIXELS
    order = np.argsort(-energies)[:8]
    assert strangest["row"].tolist() == np.concatenate(rows)[order].tolist()
    np.testing.assert_allclose(strangest["free_energy"], energies[order])
    images = np.random.default_rng(1)
    own = images_of(np.arange(600) % 3, images)
    np.testing.assert_allclose(np.stack(first["original"]), own[first["row"]], rtol=1e-4, atol=1e-4)
    assert set(map(tuple, shown["shape"])) == {(3, 4)}
    chosen = torch.from_numpy(test[:8])
    known = torch.ones(chosen.shape)
    known[:, HALF:] = 0
    restored = predictor.data_card.table.restore_features
    top = restored(predictor.seen(chosen).from_the_top.numpy())
    np.testing.assert_allclose(np.stack(first["reconstruction"]), top, rtol=1e-4, atol=1e-4)
    half = restored(predictor.seen(chosen, known=known).completed.numpy())
    completed = np.stack(first["completed"])
    np.testing.assert_allclose(completed[:, HALF:], half[:, HALF:], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(completed[:, :HALF], np.stack(first["original"])[:, :HALF])


def test_many_images_settle_as_few_do(run, monkeypatch):
    predictor, (_, test, _) = run[0].predictor(), parts(run[0])
    images = torch.from_numpy(test)
    whole = predictor.seen(images)
    monkeypatch.setattr("precisionflow.evaluation.tasks.images.SETTLED_NUMBERS", 3 * 2 * 2 * PIXELS)
    for one, other in zip(whole, predictor.seen(images), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_served_model_says_the_class_of_an_image(run):
    trained_run, _ = run
    model = load_predictor(cell_folder(trained_run.model, 0, 0), data=trained_run.data)
    random = np.random.default_rng(9)
    classes = np.array([0, 1, 1, 0])
    frame = pd.DataFrame(images_of(classes, random), columns=[f"pixel_{of}" for of in range(PIXELS)])
    answer = answers_of(trained_run.experiment.task).answer(model, frame, {})
    assert answer["class"].tolist() == ["a", "b", "b", "a"]


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """The same of images whose classes are not read."""
    folder = tmp_path_factory.mktemp("unlabelled")
    source = {"kind": "image_file", "path": str(written(folder / "set.parquet")), "target": None}
    tree = TREE | {"task": {"kind": "images", "source": source}, "evaluation": {"levels": [0.9]}}
    run = trained(tree, folder)
    evaluate(run.experiment, data=run.data, model=run.model, out=folder / "evaluation")
    return run, cell_folder(folder / "evaluation", 0, 0)


def test_images_without_classes_are_reconstructed_completed_and_told_from_unlike_ones(unlabelled):
    run, cell = unlabelled
    rows = read_parquet(cell / "metrics.parquet", METRICS).to_pylist()
    values = {row["metric"]: row["value"] for row in rows}
    assert set(values) == set(run.experiment.metrics)
    assert not {"accuracy", "nll", "ece"} & set(values)
    assert values["ood_auroc_shuffled"] > 0.95
    assert values["reconstruction_error"] == pytest.approx(values["reconstruction_error_pca"], rel=0.1)
    of_each = read_parquet(cell / "predictions.parquet", IMAGE_PREDICTIONS).to_pandas()
    for name in ("free_energy", "reconstruction_error", "completion_error"):
        assert of_each[name].mean() == pytest.approx(values[name], rel=1e-5)
    test = Rows.read(PreparedSplit(run.data_of()).part("test"))
    assert of_each["row"].tolist() == test.rows.tolist()
    model, images = run.predictor().model, torch.from_numpy(test.features)
    alone = model.infer(images, torch.zeros(len(images), dtype=torch.int64)).free_energies
    np.testing.assert_allclose(of_each["free_energy"], alone.detach().numpy() / PIXELS, rtol=1e-5)
    assert len(read_parquet(cell / "images.parquet", IMAGES)) == 16


def test_a_served_model_of_images_without_classes_says_how_strange_they_are(unlabelled):
    run, _ = unlabelled
    model = load_predictor(cell_folder(run.model, 0, 0), data=run.data)
    images = images_of(np.array([0, 1, 2]), np.random.default_rng(9))
    frame = pd.DataFrame(
        np.concatenate([images, images[:, ::-1]]), columns=[f"pixel_{of}" for of in range(PIXELS)]
    )
    answers = answers_of(run.experiment.task)
    answer = answers.answer(model, frame, {})
    assert answer.columns.tolist() == ["free_energy", "reconstruction_error", "completion_error"]
    assert (answer["free_energy"][:3].max() < answer["free_energy"][3:]).all()
    assert list(answers.contract(model.predictor.data_card).outputs) == answer.columns.tolist()


def test_a_served_model_of_images_says_what_it_perceives(run, unlabelled):
    columns = {f"pixel_{of}": [1.0, 0.5] for of in range(PIXELS)}
    for trained_, names in ((run[0], ["p_a", "p_b", "free_energy"]), (unlabelled[0], ["free_energy"])):
        model = load_predictor(cell_folder(trained_.model, 0, 0), data=trained_.data)
        endpoint = endpoints_of(model)["perception"]
        given = endpoint.read(columns).value
        found = endpoint.answer([given, given[:1]], {})
        assert list(found.columns) == list(endpoint.contract.outputs) == names
        stated = model.predictor.stated(np.concatenate([given, given[:1]]))
        np.testing.assert_allclose(found.columns["free_energy"], stated.energy)
        np.testing.assert_allclose(found.free_energies, stated.energy)
        if len(names) > 1:
            np.testing.assert_allclose(found.columns[["p_a", "p_b"]].sum(axis=1), 1)
        assert (found.converged, endpoint.passes_messages) == ([True] * 3, True)
        assert endpoint.answer([endpoint.read(endpoint.example()).value], {}).converged == [True]


def test_an_image_that_does_not_settle_is_null_and_those_beside_it_are_answered(unlabelled):
    """A step beyond stability throws every image from its mode but the one that stands there from the start."""
    model = load_predictor(cell_folder(unlabelled[0].model, 0, 0), data=unlabelled[0].data)
    predictor, endpoints = model.predictor, endpoints_of(model)
    network = predictor.model
    clamped = network.clamped(torch.zeros(1, PIXELS), torch.zeros(1, dtype=torch.int64))
    still = clamped.passed().output.detach()
    network.config = network.config.model_copy(update={"iterations": 2})
    network.learning = network.learning.model_copy(update={"descent": Gradient(), "step_size": 3.0})
    rows = torch.cat([still, still + 10, still + 1e30])
    given = predictor.data_card.table.restore_features(rows.double().numpy())
    alone, found = (endpoints["perception"].answer([some], {}) for some in (given[:1], given))
    assert (alone.converged, found.converged) == ([True], [True, False, False])
    assert found.columns.isna()["free_energy"].tolist() == [False, True, True]
    np.testing.assert_allclose(found.columns[:1], alone.columns, rtol=1e-6)
    with pytest.raises(Unsettled):
        predictor.seen(rows[:2])
    assert np.isfinite(endpoints["predict"].answer([given[:1]], {}).columns).all(axis=None)
    with pytest.raises(ValueError, match=r"^row 1: settling gives the image no finite free energy"):
        endpoints["predict"].answer([given], {})


@pytest.mark.parametrize("update", [{}, {"tolerance": 0.1}, {"descent": Secant()}])
def test_images_of_two_requests_share_no_batch_that_they_settle_by(unlabelled, update):
    model = load_predictor(cell_folder(unlabelled[0].model, 0, 0), data=unlabelled[0].data)
    network = model.predictor.model
    network.learning = network.learning.model_copy(update=update)
    assert {of.apart for of in endpoints_of(model).values()} == {bool(update)}


def test_the_report_of_images_without_classes_has_coverage_and_no_confidence(unlabelled):
    run, cell = unlabelled
    (variant,) = expand(run.experiment)
    report = of_task(run.experiment, variants=(variant,), folders={variant.name: [cell]})
    (finer,) = report.finer(("free_energy", "coverage_90"), dataset="set")
    assert finer.metrics == ("coverage_90",)
    assert not report.calibration(name="x").pictures


def test_shuffled_pixels_are_those_of_the_image():
    images = torch.arange(60.0).view(5, 12)
    shuffled = shuffled_pixels(images)
    assert torch.equal(shuffled.sort(dim=1).values, images)
    assert not torch.equal(shuffled[0] % 12, shuffled[1] % 12)
    assert torch.equal(shuffled, shuffled_pixels(images))


def test_probabilistic_components_against_the_closed_form():
    """scikit-learn's noise and covariance are those of the same model but for n - 1 in place of n."""
    random = np.random.default_rng(0)
    images = (
        random.normal(size=(400, 3)) @ random.normal(size=(3, 8)) + 0.2 * random.normal(size=(400, 8)) + 5
    )
    mine, reference = PrincipalComponents.fit(images, count=3), PCA(3).fit(images)
    share = (len(images) - 1) / len(images)
    assert mine.noise == pytest.approx(share * reference.noise_variance_)
    covariance = mine.loadings @ mine.loadings.T + mine.noise * np.eye(8)
    np.testing.assert_allclose(covariance, share * reference.get_covariance(), rtol=1e-6, atol=1e-8)
    gain = covariance[:, :5] @ np.linalg.inv(covariance[:5, :5])
    expected = images.mean(0) + (images[:, :5] - images.mean(0)[:5]) @ gain.T
    np.testing.assert_allclose(
        mine.completed(images, seen=np.arange(8) < 5)[:, 5:], expected[:, 5:], rtol=1e-6
    )
    np.testing.assert_allclose(
        mine.reconstructed(images), reference.inverse_transform(reference.transform(images)), rtol=1e-6
    )
