"""Batches: the same data for any number of ranks, and shares that add up to the whole batch."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from precisionflow.config import Experiment
from precisionflow.config.learning import Backpropagation, PredictiveCoding
from precisionflow.data.bags import Bags
from precisionflow.data.batches import Sequences
from precisionflow.data.streams import Stream
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.build import build
from precisionflow.models.networks.dropout import Draw
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, write_parquet
from precisionflow.records.schemas import AUXILIARY, NOT_COUNTED, TAGGED, without
from precisionflow.results.layout import data_folder
from precisionflow.training.batches import (
    Batch,
    TaggedTexts,
    masked,
    part_batches,
    training_batches,
    weighted,
)
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.learner import learner

CPU = torch.device("cpu")


@pytest.fixture(params=["text", "table"])
def prepared(request: pytest.FixtureRequest) -> tuple[Experiment, Path]:
    experiment = request.getfixturevalue(f"{request.param}_experiment")
    return experiment, data_folder(request.getfixturevalue(f"{request.param}_data"), experiment, 0)


def shares(experiment: Experiment, data: Path, *, step: int, ranks: int, seed: int = 0) -> list[Batch]:
    return [
        training_batches(
            experiment,
            data,
            training=experiment.training,
            stream=Stream(seed),
            ranks=Ranks(index, ranks, CPU),
        )(step)
        for index in range(ranks)
    ]


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_ranks_shares_are_the_batch_of_one_process(prepared, ranks):
    for step in (0, 1, 7):
        (whole,) = shares(*prepared, step=step, ranks=1)
        parts = shares(*prepared, step=step, ranks=ranks)
        assert torch.equal(torch.cat([part.inputs for part in parts]), whole.inputs)
        assert torch.equal(torch.cat([part.target for part in parts]), whole.target)


def test_batches_depend_on_seed_and_step(prepared):
    experiment, data = prepared
    changed = experiment.model_copy(
        update={"training": experiment.training.model_copy(update={"batch_size": 4})}
    )
    first, again, later, other = (
        shares(changed, data, step=step, ranks=1, seed=seed)[0].inputs
        for step, seed in ((3, 0), (3, 0), (4, 0), (3, 1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("learning", [Backpropagation(), PredictiveCoding()])
@pytest.mark.parametrize("ranks", [2, 4])
def test_the_mean_over_unequal_shares_is_the_gradient_of_the_whole_batch(
    ranks, learning, table_experiment, table_data
):
    data = data_folder(table_data, table_experiment, 0)
    torch.manual_seed(0)
    model = build(table_experiment, read_card(data / "dataset.json", DatasetCard))
    taught = learner(model, objective(table_experiment.objective), learning)
    weights = list(model.parameters())

    def lesson(ranks: int) -> list[torch.Tensor]:
        parts = shares(table_experiment, data, step=0, ranks=ranks)
        assert ranks == 1 or len({len(part.target) for part in parts}) == 2
        lessons = [taught(part).weighted(part.weight) for part in parts]
        gradients = [torch.autograd.grad(each.surrogate, weights, retain_graph=True) for each in lessons]
        losses = [torch.stack([each.loss, each.energy]) for each in lessons]
        return [torch.stack(each).mean(0) for each in (*zip(*gradients, strict=True), losses)]

    for shared, whole in zip(lesson(ranks), lesson(1), strict=True):
        torch.testing.assert_close(shared, whole)


def test_more_ranks_than_rows_are_refused(table_experiment, table_data):
    data = data_folder(table_data, table_experiment, 0)
    with pytest.raises(
        ValueError,
        match=r"train\.parquet: 15 rows are too few for 16 shares of a batch and training\.accumulate 1; use fewer",
    ):
        shares(table_experiment, data, step=0, ranks=16)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_a_parts_batches_hold_every_target_once_and_in_order(batch_size, text_experiment, text_data):
    file = data_folder(text_data, text_experiment, 0) / "valid.parquet"
    batches = part_batches(text_experiment, file, batch_size=batch_size)
    inputs, targets = (
        torch.cat([getattr(b, name).flatten() for b in batches]) for name in ("inputs", "target")
    )
    card = read_card(file.with_name("dataset.json"), DatasetCard)
    assert len(targets) == card.rows["valid"] - 1
    assert torch.equal(inputs[1:], targets[:-1])


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_equal_shares_weigh_one(ranks, text_experiment, text_data):
    data = data_folder(text_data, text_experiment, 0)
    for part in shares(text_experiment, data, step=3, ranks=ranks):
        assert part.weight == 1.0
        assert part.mask is None
        assert part.counted == part.target.numel()


BAGS = Bags.of([[[3], [1]], [[2]], [[5], [4], [6], [7]]])


def test_texts_of_unequal_length_are_filled_up_to_the_longest():
    tokens, mask = masked(*BAGS.padded(np.array([0, 1, 2])))
    assert tokens.tolist() == [[3, 1, 0, 0], [2, 0, 0, 0], [5, 4, 6, 7]]
    assert mask.tolist() == [[True, True, False, False], [True, False, False, False], [True] * 4]
    batch = Batch(tokens, torch.tensor([0, 1, 1]), mask)
    assert torch.equal(batch.to(CPU).mask, mask)
    assert batch.to(torch.device("meta")).mask.is_meta


def test_equally_long_texts_have_no_mask():
    tokens, mask = masked(*BAGS.padded(np.array([1])))
    assert tokens.tolist() == [[2]]
    assert mask is None


def test_tokens_of_several_ids_are_filled_up_too():
    bags = Bags.of([[[3, 9], [1]], [[], [2, 4, 6]], [[5, 5]]])
    tokens, mask = bags.padded(np.array([1, 0, 2]))
    assert tokens.tolist() == [
        [[0, 0, 0], [2, 4, 6]],
        [[3, 9, 0], [1, 0, 0]],
        [[5, 5, 0], [0, 0, 0]],
    ]
    assert mask.tolist() == [[True, True], [True, True], [True, False]]
    assert [bags[i] for i in range(3)] == [[[3, 9], [1]], [[], [2, 4, 6]], [[5, 5]]]


@pytest.fixture
def tagged(tmp_path: Path) -> TaggedTexts:
    """Texts of 1 to 4 tokens, every third of which is not counted."""
    return texts_with_tags(tmp_path, without(TAGGED, AUXILIARY))


def texts_with_tags(folder: Path, schema: pa.Schema) -> TaggedTexts:
    """The same with two columns that are learned beside, if the schema has them: a token's place, and its row."""
    lengths = [1 + row % 4 for row in range(11)]
    columns = {
        "row": list(range(11)),
        "tokens": [[[2 + place] for place in range(length)] for length in lengths],
        "target": [
            [NOT_COUNTED if (row + place) % 3 == 0 else (row + place) % 2 for place in range(length)]
            for row, length in enumerate(lengths)
        ],
    }
    columns["auxiliary"] = [[[place, row] for place in range(length)] for row, length in enumerate(lengths)]
    path = folder / "train.parquet"
    write_parquet(pa.table({name: columns[name] for name in schema.names}, schema=schema), path, schema)
    return TaggedTexts(Sequences.read(path, tagged=True))


def test_training_alone_is_told_what_is_learned_beside(tmp_path, tagged):
    share = {"stream": Stream(0), "batch_size": 4}
    beside = texts_with_tags(tmp_path, TAGGED)
    plain, taught = tagged.share(1, **share), beside.share(1, **share)
    assert taught.target.shape == (*plain.target.shape, 3)
    assert torch.equal(taught.target[..., 0], plain.target)
    assert torch.equal(taught.counts, plain.counts)
    real, (texts, places) = taught.mask, plain.target.shape
    assert torch.equal(taught.target[..., 1][real], torch.arange(places).expand(texts, places)[real])
    assert (taught.target[..., 1:][~real] == NOT_COUNTED).all()
    for of, without_columns in zip(beside.whole(batch_size=4), tagged.whole(batch_size=4), strict=True):
        assert torch.equal(of.target, without_columns.target)


def test_a_mean_counts_real_and_tagged_tokens_alone(tagged):
    (whole,) = tagged.whole(batch_size=64)
    losses = torch.arange(whole.target.numel(), dtype=torch.float32).view_as(whole.target)
    counted = [losses[row, place] for row in range(11) for place in range(1 + row % 4) if (row + place) % 3]
    assert whole.counted == len(counted)
    assert whole.mean(losses).item() == pytest.approx(float(np.mean(counted)))
    unfit = torch.where(whole.counts > 0, losses, float("nan"))
    assert whole.mean(unfit).item() == pytest.approx(float(np.mean(counted)))
    assert whole._replace(counts=torch.zeros_like(losses)).mean(losses).item() == 0


@pytest.mark.parametrize(
    "learning", [Backpropagation(), PredictiveCoding(iterations=40, step_size=5e-4, tolerance=0)]
)
def test_a_weight_is_worth_as_many_equal_rows(table_experiment, table_data, learning):
    """Of the whole part; predictive coding agrees to the first order in 1 / precision."""
    place = data_folder(table_data, table_experiment, 0)
    card = read_card(place / "dataset.json", DatasetCard)
    (rows,) = part_batches(table_experiment, place / "valid.parquet")
    times = torch.arange(len(rows.target)) % 4
    again = torch.repeat_interleave(torch.arange(len(times)), times)
    repeated = Batch(rows.inputs[again], rows.target[again])
    given = rows._replace(importance=times / times.float().mean())
    model = build(table_experiment, card)
    taught = learner(model, objective(table_experiment.objective), learning)

    def gradient(batch: Batch) -> torch.Tensor:
        return torch.cat(
            [g.flatten() for g in torch.autograd.grad(taught(batch).surrogate, list(model.parameters()))]
        )

    alike, found, unweighted = gradient(repeated), gradient(given), gradient(rows)
    tolerance = 1e-5 if isinstance(learning, Backpropagation) else 0.02
    assert (found - alike).norm() < tolerance * alike.norm()
    assert (unweighted - alike).norm() > 0.1 * alike.norm()


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_weighted_mean_over_ranks_is_the_mean_of_what_counts(tagged, ranks):
    for step in (0, 3):
        kwargs = {"stream": Stream(0), "batch_size": 7}
        whole = tagged.share(step, **kwargs)
        shares = [tagged.share(step, rank=rank, ranks=ranks, **kwargs) for rank in range(ranks)]
        of_share = [
            weighted(share, 7, partial(tagged.share, step, **kwargs), Ranks(0, ranks, CPU))
            for share in shares
        ]
        losses = [share.inputs.float() ** 2 for share in [whole, *shares]]
        mean = sum(w * share.mean(of) for w, share, of in zip(of_share, shares, losses[1:], strict=True))
        torch.testing.assert_close(mean / ranks, whole.mean(losses[0]))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_weighted_mean_of_the_parts_of_a_batch_is_that_of_the_batch(count):
    """Seven rows, in parts that are not equally long, and what decides their masks."""
    rows = torch.arange(7)
    draw = Draw(torch.tensor(3), rows + 10)
    counts = torch.tensor([1.0, 0.5, 1.0, 0.0, 1.0, 2.0, 1.0])
    batch = Batch(rows[:, None] * 2.0, rows**2.0, rows[:, None] < 5, counts, weight=1.5, draw=draw)
    parts = batch.parts(count)
    assert len(parts) == count
    mean = sum(part.weight * part.mean(part.target) for part in parts) / count
    torch.testing.assert_close(mean, batch.weight * batch.mean(batch.target))
    for field in ("inputs", "target", "mask", "counts"):
        assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(batch, field))
    assert torch.equal(torch.cat([part.draw.rows for part in parts]), draw.rows)
