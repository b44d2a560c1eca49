"""An allocation study from its scenes to its metrics: budgets kept by every way, serving, refusals."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from precisionflow.config import Experiment
from precisionflow.data.batches import Rows
from precisionflow.data.prepare import prepare
from precisionflow.evaluation.evaluate import evaluate
from precisionflow.inference.allocation import reader
from precisionflow.inference.allocation.balance import precision_loss
from precisionflow.inference.allocation.budget import Bounds
from precisionflow.inference.allocation.reader import patch_reader
from precisionflow.inference.allocation.shares import Scene, ranked
from precisionflow.inference.allocation.utility import Utility
from precisionflow.models.likelihoods.objective import objective
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import METRICS
from precisionflow.results.layout import EvaluatedCell, PreparedSplit, cell_folder, data_folder
from precisionflow.serving.answers.of_task import answers_of, contract_of
from precisionflow.serving.endpoints.assembled import endpoints_of
from precisionflow.serving.model import ServedModel, load_predictor
from precisionflow.training.train import train
from tests.allocation_experiment import allocating

WAYS = ("uniform", "top_k", "random", "softmax", "precision", "refine", "oracle")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes of the tiny experiment."""
    out = tmp_path_factory.mktemp("allocation")
    prepare([allocating()], out=out)
    return out


def part(experiment: Experiment, prepared: Path) -> tuple[DatasetCard, torch.Tensor, torch.Tensor]:
    place = PreparedSplit(data_folder(prepared, experiment, 0))
    rows = Rows.read(place.part("test"))
    return read_card(place.card, DatasetCard), torch.from_numpy(rows.features), torch.from_numpy(rows.target)


@pytest.mark.parametrize("kind", [*WAYS, "mode"])
def test_every_way_keeps_the_budget_and_teaches(kind: str, prepared: Path) -> None:
    allocation = {"kind": "precision", "estimate": "mode"} if kind == "mode" else {"kind": kind}
    experiment = allocating(model={"allocation": allocation, "budget": 193})
    card, numbers, target = part(experiment, prepared)
    torch.manual_seed(0)
    reader = patch_reader(experiment, card)
    (layer,) = reader.layers
    tokens = layer.tokens(numbers)
    total = 4 * 16 + 128 if kind == "softmax" else 193
    if kind == "refine":
        assert int(tokens.sum(-1).max()) <= total
    else:
        assert tokens.sum(-1).tolist() == [total] * len(numbers)
    assert int(tokens.min()) >= 16
    assert int(tokens.max()) <= 144
    assert torch.equal(tokens, tokens.round())
    alone = torch.cat([layer.tokens(row[None]) for row in numbers])
    assert torch.equal(tokens, alone)
    wanted = objective(experiment.objective)
    raw = reader(numbers)
    wanted.losses(progress=0.0)(raw, target).mean().backward()
    taught = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in layer.scorers.fused.parameters()]
    assert all(taught) == (kind in ("top_k", "softmax", "precision", "mode"))
    assert bool((raw.complexity > 0).any()) == (kind == "precision")
    assert bool((raw.precision_loss != 0).all()) == (kind == "refine")
    torch.testing.assert_close(
        wanted.losses(progress=0.0)(raw, target) - wanted.negative_log_likelihood(raw, target),
        0.01 * raw.complexity + raw.precision_loss,
        atol=1e-6,
        rtol=1e-4,
    )


def refining(
    prepared: Path, **objective: float
) -> tuple[Experiment, DatasetCard, torch.Tensor, torch.Tensor]:
    """An experiment that refines, and images of it."""
    experiment = allocating(model={"allocation": {"kind": "refine", "threshold": 300.0}}, objective=objective)
    return experiment, *part(experiment, prepared)


def test_a_stated_precision_is_learned_and_images_stop_by_it(prepared: Path) -> None:
    """A surer reader spends less, and no image more than the budget."""
    experiment, card, numbers, target = refining(prepared)
    torch.manual_seed(0)
    model = patch_reader(experiment, card)
    (layer,) = model.layers
    losses, wanted = [], objective(experiment.objective).losses(progress=0.0)
    sure = torch.optim.Adam(layer.sureness.parameters(), lr=0.05)
    for _ in range(150):
        sure.zero_grad()
        wanted(model(numbers), target).mean().backward()
        sure.step()
        losses.append(float(model(numbers).precision_loss.detach().mean()))
    assert losses[-1] < losses[0] - 0.1
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    learned = layer.tokens(numbers).sum(-1)
    with torch.no_grad():
        layer.sureness.log_precision += 20
    assert layer.tokens(numbers).sum(-1).tolist() == [4 * 16] * len(numbers), "sure after the first reading"
    with torch.no_grad():
        layer.sureness.log_precision -= 40
    spent = layer.tokens(numbers).sum(-1)
    assert int(spent.max()) <= 192
    assert bool((spent >= learned).all())
    assert int(spent.min()) > 4 * 16


def test_one_stated_precision_goes_to_that_of_what_is_left_out(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tau = 1 / E[e^2], the least of E[(tau e^2 - ln tau) / 2], where all patches state the same."""
    experiment = allocating(model={"allocation": {"kind": "refine", "threshold": 1e9}})
    card, numbers, _ = part(experiment, prepared)
    torch.manual_seed(0)
    model = patch_reader(experiment, card)
    (layer,) = model.layers
    errors: list[torch.Tensor] = []

    def seen(error: torch.Tensor, log_precision: torch.Tensor) -> torch.Tensor:
        errors.append(error)
        return precision_loss(error, log_precision)

    monkeypatch.setattr(reader, "precision_loss", seen)
    learned = torch.optim.Adam([layer.sureness.log_precision], lr=0.1)
    for _ in range(200):
        learned.zero_grad()
        errors.clear()
        model(numbers).precision_loss.mean().backward()
        learned.step()
    found, wanted = layer.sureness.log_precision.exp(), 1 / torch.stack(errors).square().mean()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-3)
    assert wanted.item() != pytest.approx(reader.LEFT_OUT**-2, rel=0.1), "where it starts"


def test_what_an_image_teaches_of_its_precision_does_not_depend_on_the_others(prepared: Path) -> None:
    """One patch of the first image is unsure, and has all its tokens after a round; beside it one goes on."""
    experiment = allocating(model={"allocation": {"kind": "refine", "threshold": 300.0}, "budget": 448})
    card, numbers, _ = part(experiment, prepared)
    torch.manual_seed(0)
    model = patch_reader(experiment, card)
    (layer,) = model.layers
    images = reader.Parts.of(numbers[:2], layer.source).images
    patches = reader.cut(images, layer.source.patch)
    log_weight = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    with torch.no_grad():
        layer.sureness.log_precision.fill_(math.log(300) + 0.5)

    def losses(rows: slice) -> torch.Tensor:
        readings, log, one = (
            reader.Readings(layer, patches[rows]),
            log_weight[rows],
            torch.ones(2)[rows].long(),
        )
        layer.share(
            Scene(log, Utility(log.exp(), log.exp()), one, one, readings.over(log)), 448, layer.bounds
        )
        return torch.as_tensor(readings.loss()).detach()

    alone = torch.cat([losses(slice(0, 1)), losses(slice(1, 2))])
    torch.testing.assert_close(alone, losses(slice(None)))


def test_without_its_loss_a_stated_precision_stays(prepared: Path) -> None:
    experiment, card, numbers, target = refining(prepared, precision_loss=0.0)
    model = patch_reader(experiment, card)
    objective(experiment.objective).losses(progress=0.0)(model(numbers), target).mean().backward()
    (layer,) = model.layers
    assert all(float(p.grad.abs().sum()) == 0 for p in layer.sureness.parameters())


def test_the_oracle_spares_all_for_the_figure_and_the_best_ranks_are_filled(prepared: Path) -> None:
    experiment = allocating(model={"allocation": {"kind": "oracle"}})
    card, numbers, _ = part(experiment, prepared)
    (layer,) = patch_reader(experiment, card).layers
    tokens = layer.tokens(numbers)
    asked = numbers[:, 0].long()
    assert tokens[torch.arange(len(asked)), asked].tolist() == [144] * len(asked)
    scores = torch.tensor([[0.1, 3.0, 2.0, 1.0]])
    assert ranked(scores, 64 + 128 + 50, Bounds(16, 144)).tolist() == [[16, 144, 66, 16]]


@pytest.mark.parametrize(
    ("encoder", "most"),
    [({"kind": "convolution"}, 4 * 144 / 192 - 1), ({"kind": "tokens", "width": 8, "lengths": 4}, 0.1)],
    ids=["convolution", "tokens"],
)
def test_study_gives_its_metrics_and_its_model_answers(
    encoder: dict, most: float, prepared: Path, tmp_path: Path
) -> None:
    experiment = allocating(model={"encoder": encoder})
    train(experiment, data=prepared, out=tmp_path / "model")
    evaluate(experiment, data=prepared, model=tmp_path / "model", out=tmp_path / "evaluation")
    table = read_parquet(EvaluatedCell(cell_folder(tmp_path / "evaluation", 0, 0)).metrics, METRICS)
    found = dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert set(found) == set(experiment.metrics)
    assert found["tokens"] == 192
    assert 0 < found["padding"] <= most
    assert not EvaluatedCell(cell_folder(tmp_path / "evaluation", 0, 0)).bins.exists(), (
        "pixels are no features"
    )
    assert 16 <= found["tokens_of_figure"] <= 144
    served = load_predictor(cell_folder(tmp_path / "model", 0, 0), data=prepared)
    answers, (_, numbers, _) = answers_of(experiment.task), part(experiment, prepared)
    names = [column.name for column in served.predictor.data_card.inputs]
    said = answers.answer(served, pd.DataFrame(numbers[:3].double().numpy(), columns=names), {})
    np.testing.assert_allclose(said.filter(like="p_").sum(axis=1), 1, rtol=1e-5)
    assert set(said["class"]) <= set(served.predictor.data_card.class_names)
    endpoint = endpoints_of(served)["patches"]
    given = endpoint.read({name: numbers[:3, i].tolist() for i, name in enumerate(names)}).value
    read = endpoint.answer([given], {}).columns
    assert [sum(tokens) for tokens in read["tokens"]] == [192] * 3
    assert read["class"].tolist() == said["class"].tolist()
    np.testing.assert_allclose(read["confidence"], said["confidence"], rtol=1e-5)
    asked = list(contract_of(experiment, served.predictor.data_card).inputs)
    assert asked == names[1:], "an oracle alone looks at the patch"
    unasked = endpoint.read({name: numbers[:3, names.index(name)].tolist() for name in asked})
    assert endpoint.answer([unasked.value], {}).columns.equals(read)
    assert set(endpoint.example() or {}) == set(asked)
    check_refusals(served, numbers, names[1:])


def check_refusals(served: ServedModel, numbers: torch.Tensor, asked: list[str]) -> None:
    """Pixels that are no colours, an empty cell, columns that are missing."""
    answers = answers_of(served.predictor.experiment_card.experiment.task)
    whole = pd.DataFrame(numbers[:3, 1:].double().numpy(), columns=asked)
    for column, number, said in (
        (asked[-1], 1.5, "'blue_575': given 1.5; a pixel's red, green or blue lies between 0 and 1"),
        (asked[4], -0.1, "'red_0': given -0.1; a pixel's red, green or blue lies between 0 and 1"),
    ):
        wrong = whole.copy()
        wrong.loc[1, column] = number
        line = rf"^features, row 1, column {said}$"
        with pytest.raises(ValueError, match=line):
            answers.answer(served, wrong, {})
        for each in endpoints_of(served).values():
            with pytest.raises(ValueError, match=line):
                each.answer([each.read(wrong.to_dict("list")).value], {})
    broken = whole.assign(red_0=np.nan)
    with pytest.raises(ValueError, match="column 'red_0': an empty cell"):
        answers.answer(served, broken, {})
    for each in endpoints_of(served).values():
        with pytest.raises(
            ValueError, match=r"^columns.red_0: is missing, and so are 'red_1', .* and 565 more"
        ) as at:
            each.read(whole[[name for name in asked if not name.startswith("red_")]].to_dict("list"))
        assert len(str(at.value)) < 300, "not every column"


def test_an_oracle_asks_for_the_patch(prepared: Path, tmp_path: Path) -> None:
    experiment = allocating(model={"allocation": {"kind": "oracle"}})
    train(experiment, data=prepared, out=tmp_path / "model")
    served = load_predictor(cell_folder(tmp_path / "model", 0, 0), data=prepared)
    names = list(contract_of(experiment, served.predictor.data_card).inputs)
    assert names[0] == "patch"
    _, numbers, _ = part(experiment, prepared)
    for given in (4.0, 0.5, -1.0):
        wrong = pd.DataFrame(numbers[:3].double().numpy(), columns=names).assign(patch=[0.0, given, 0.0])
        line = rf"^features, row 1, column 'patch': given {given:g}; give the number of a patch, 0 to 3$"
        with pytest.raises(ValueError, match=line):
            answers_of(experiment.task).answer(served, wrong, {})


def test_summaries_of_no_end_of_images_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_NUMBERS", 5 * 2 * 13 * 4)
    summaries, images = reader.Summaries(12), torch.rand(12, 3, 24, 24)
    fresh = reader.Summaries(12)(images)[0]
    for first in (0, 2, 4, 3, 8):
        found = summaries(images[first : first + 4])[0]
        assert len(summaries.kept) <= 5
        torch.testing.assert_close(found.mean, fresh.mean[first : first + 4])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"budget": 63}, "model.budget: 63 tokens for 4 patches of 16 to 144; give 64 to 576"),
        ({"budget": 577}, "model.budget: 577 tokens for 4 patches"),
        ({"highest": 145}, "model.highest: 145 tokens of a patch of 144 pixels; give at most 144"),
        ({"lowest": 144}, "model.lowest 144 is not below model.highest 144"),
        ({"information": False, "salience": False, "coupling": False}, "nothing scores a patch"),
        ({"allocation": {"kind": "best"}}, "Input tag 'best'"),
        ({"encoder": {"kind": "tokens", "lengths": 0}}, "encoder.tokens.lengths"),
        ({"allocation": {"kind": "refine", "threshold": 0.0}}, "greater than 0"),
        ({"allocation": {"kind": "refine", "rounds": 0}}, "greater than 0|greater than or equal to 1"),
    ],
)
def test_what_cannot_be_shared_is_refused(model: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        allocating(model=model)
