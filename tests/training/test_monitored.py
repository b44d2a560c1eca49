"""Records of settling and attention in a whole training: when, in which files, at no cost to what is learned."""

from pathlib import Path

import pytest
import torch
from on_ranks import PREDICTIVE_CODING
from runs import finish, interrupt, result

from precisionflow.config import resolve
from precisionflow.data.streams import Stream
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import ATTENTION_HISTORY, SETTLING
from precisionflow.results.layout import PreparedSplit, TrainedCell, cell_folder, data_folder
from precisionflow.training.batches import training_batches
from precisionflow.training.engines.several import Several
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.monitored import AttentionRow, Monitored
from precisionflow.training.train import train

CODING = {"learning": PREDICTIVE_CODING | {"precision": {"kind": "learned", "initial": 10.0}}}


def of(text_tree, every, **changes):
    return resolve(
        text_tree | CODING | {"training": text_tree["training"] | {"monitor_every": every}} | changes
    )


def files(out: Path) -> tuple[Path, Path]:
    cell = TrainedCell(cell_folder(out, 0, 0))
    return cell.settling, cell.attention


@pytest.fixture(scope="module")
def monitored(text_tree, text_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("monitored")
    train(of(text_tree, 5), data=text_data, out=out)
    return out


def test_every_fifth_step_and_the_last_has_a_row_for_each_layer(monitored):
    rows = read_parquet(TrainedCell(cell_folder(monitored, 0, 0)).settling, SETTLING).to_pylist()
    assert [(row["step"], row["layer"]) for row in rows] == [(s, i) for s in (5, 10, 12) for i in range(4)]
    for row in rows:
        places = 0 if row["layer"] == 3 else 16
        assert (len(row["error_norm"]), len(row["precision"])) == (places, places)
        assert 0 < row["cosine"] <= 1 + 1e-9
    _, history = result(monitored)
    told = {(step, name): value for step, name, value in history}
    assert told[10, "energy_layer_1"] == rows[5]["energy"][-1]
    assert {step for step, name in told if name == "gradient_cosine"} == {5, 10, 12}


def test_the_precision_of_each_head_is_in_the_file_and_in_the_history(text_tree, text_data, tmp_path):
    """The attention of the one block; also after a checkpoint, which is read again."""
    by_head = {
        "learning": CODING["learning"] | {"precision": {"kind": "learned", "per": "head", "initial": 10.0}}
    }
    interrupt(of(text_tree, 5, **by_head), text_data, tmp_path, step=12)
    finish(of(text_tree, 5, **by_head), text_data, tmp_path)
    rows = read_parquet(files(tmp_path)[0], SETTLING).to_pylist()
    assert [len(row["head_precision"]) for row in rows] == 3 * [0, 2, 0, 0]
    told = {(step, name): value for step, name, value in result(tmp_path)[1]}
    for row in rows:
        for head, precision in enumerate(row["head_precision"]):
            assert told[row["step"], f"precision_layer_1_head_{head}"] == precision
    first, last = rows[1]["head_precision"], rows[9]["head_precision"]
    assert all(one != two for one, two in zip(first, last, strict=True)), "they learn"


def test_a_record_changes_nothing_that_is_learned(monitored, text_tree, text_data, tmp_path):
    train(of(text_tree, None), data=text_data, out=tmp_path)
    weights, history = result(tmp_path)
    assert weights == result(monitored)[0]
    assert history == [
        entry for entry in result(monitored)[1] if entry[1] in {name for _, name, _ in history}
    ]
    assert not any(file.exists() for file in files(tmp_path))


def test_every_layer_head_and_symbol_of_the_next_batch_is_looked_at(monitored, text_tree, text_data):
    """Against the batch itself; before the first step every symbol states the initial precision."""
    _, file = files(monitored)
    table = read_parquet(file, ATTENTION_HISTORY).to_pandas()
    assert sorted(table["step"].unique()) == [5, 10, 12]
    experiment = of(text_tree, 5)
    data = data_folder(text_data, experiment, 0)
    card = read_card(PreparedSplit(data).card, DatasetCard)
    stream, ranks = Stream(0, 0), Ranks.of_process(torch.device("cpu"))
    drawn = training_batches(experiment, data, training=experiment.training, stream=stream, ranks=ranks)(10)
    here = table[table["step"] == 10]
    for head in range(2):
        counted = here[here["head"] == head].set_index("symbol")["n"].to_dict()
        ids, counts = drawn.inputs.unique(return_counts=True)
        assert counted == {card.tokens[i]: n for i, n in zip(ids.tolist(), counts.tolist(), strict=True)}
    assert (here["entropy"] >= 0).all()
    assert here["log_precision"].std() > 0


def test_an_interrupted_run_ends_with_the_same_records(monitored, text_tree, text_data, tmp_path):
    interrupt(of(text_tree, 5), text_data, tmp_path, step=12)
    assert finish(of(text_tree, 5), text_data, tmp_path) == [12]
    assert result(tmp_path) == result(monitored)
    for mine, whole in zip(files(tmp_path), files(monitored), strict=True):
        assert mine.read_bytes() == whole.read_bytes()


def test_of_backprop_attention_alone_is_recorded(text_tree, text_data, tmp_path):
    train(of(text_tree, 5, learning={"kind": "backprop"}), data=text_data, out=tmp_path)
    assert {name for _, name, _ in result(tmp_path)[1]} == {"train_loss", "energy", "validation_loss"}
    settling, attention = files(tmp_path)
    assert not settling.exists()
    assert attention.exists()


class Named:
    """An engine of one network that tells its name as a cosine."""

    def __init__(self, name: float) -> None:
        self.name = name

    def monitored(self, step: int) -> list[Monitored]:
        return [Monitored(step, self.name, [])]

    def profiled(self) -> list[dict[str, float]]:
        return []

    def attended(self, step: int) -> list[list[AttentionRow]]:
        return [[AttentionRow(step, 0, 0, 0, 1, self.name, 0.0)]]

    def leave(self, gone: torch.Tensor) -> None:
        pass


def test_of_several_networks_those_that_still_train_are_seen():
    several = Several([lambda _, name=name: Named(name) for name in (0.1, 0.2, 0.3)], resume=None)
    several.leave(torch.tensor([False, True, False]))
    assert several.monitored(4) == [Monitored(4, 0.1, []), Monitored(4, 0.3, [])]
    assert [rows[0].entropy for rows in several.attended(4)] == [0.1, 0.3]
