"""Torch and DeepSpeed, every ZeRO stage, before and after a checkpoint: one loss curve."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from digits import EARLY_DIGITS, IMAGES, UNSTABLE
from on_ranks import (
    ALONE,
    AMORTISED,
    AVERAGED,
    BOTTOM_UP,
    BY_HEAD,
    BY_LAYER,
    EARLY,
    INCREMENTAL,
    LEARNED_LAW,
    MUON,
    NODES,
    PREDICTIVE_CODING,
    SECANT,
    STEPS,
    TOP_DOWN,
    WATCHED,
    curve,
    engine_of,
)
from rules_of_tests import SeveralSteps
from scenes import SCENES
from torch import nn

from precisionflow.config import Experiment, resolve
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.training.engines import zero
from precisionflow.training.engines.pipeline_engine import _check_apart
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.monitored import AttentionRow

SETTLED = {
    "stage 0 top down": TOP_DOWN,
    "stage 2 bottom up": BOTTOM_UP,
    "stage 0 amortised": AMORTISED,
    "stage 1 by head": BY_HEAD,
    "stage 2 by head": BY_HEAD,
    "stage 1 stopping early": EARLY,
    "stage 1 secant": SECANT,
    "stage 2 by layer": BY_LAYER,
    "stage 3 by head": BY_HEAD,
    "stage 3 amortised": AMORTISED,
    "stage 3 stopping early": EARLY,
}
"""Case -> how it settles, at precisions at which that makes a difference."""
PC = {"learning": PREDICTIVE_CODING}


def scenes(tree: dict[str, Any], **model: Any) -> Experiment:
    return resolve(tree | SCENES | {"model": SCENES["model"] | model})


def torch_curve(experiment: Experiment, data: Path, rule: nn.Module | None = None) -> list[float]:
    return curve(engine_of(experiment, data, Ranks(), rule=rule), Ranks(), range(STEPS))


@pytest.fixture(scope="session")
def torch_curves(
    text_tree: dict[str, Any],
    text_data: Path,
    table_experiment: Experiment,
    table_data: Path,
    nodes_data: Path,
    scenes_data: Path,
    digits_data: Path,
) -> dict[str, list[float]]:
    return {
        "nodes by head": torch_curve(resolve(text_tree | NODES), nodes_data),
        **{
            case.split(maxsplit=2)[2]: torch_curve(resolve(text_tree | images), digits_data)
            for case, images in IMAGES.items()
        },
        "odd rows": torch_curve(table_experiment, table_data),
        "scorers": torch_curve(scenes(text_tree), scenes_data),
        "scorers refining": torch_curve(scenes(text_tree, allocation={"kind": "refine"}), scenes_data),
        # every patch in a micro-batch of its length, or all padded to the longest
        "scorers of sequences": torch_curve(
            scenes(text_tree, encoder={"kind": "tokens", "lengths": 144}), scenes_data
        ),
        "scorers of padded sequences": torch_curve(
            scenes(text_tree, encoder={"kind": "tokens", "lengths": 1}), scenes_data
        ),
        "backprop": torch_curve(resolve(text_tree), text_data),
        "predictive coding": torch_curve(resolve(text_tree | PC), text_data),
        "averaged in parts": torch_curve(resolve(text_tree | {"training": AVERAGED}), text_data),
        "muon in parts": torch_curve(resolve(text_tree | {"training": MUON}), text_data),
        "several steps": torch_curve(resolve(text_tree), text_data, SeveralSteps()),
        "incremental": torch_curve(resolve(text_tree | {"learning": INCREMENTAL}), text_data),
        "learned law": torch_curve(resolve(text_tree | {"learning": LEARNED_LAW}), text_data),
        **{
            case.split(maxsplit=2)[2]: torch_curve(resolve(text_tree | {"learning": learning}), text_data)
            for case, learning in SETTLED.items()
        },
    }


def monitored_alone(experiment: Experiment, data: Path, ranks: list[Any], *, rel: float, abs: float) -> Any:
    """What one process sees of settling after all steps, which ranks see too, to this precision."""
    engine = engine_of(experiment, data, Ranks())
    curve(engine, Ranks(), range(STEPS))
    (seen,) = engine.monitored(STEPS)
    alone = list(seen.entries(STEPS))
    assert [name for _, name, _ in ranks] == [name for _, name, _ in alone]
    assert [value for *_, value in ranks] == pytest.approx([value for *_, value in alone], rel=rel, abs=abs)
    return seen


@pytest.mark.parametrize("stage", range(4))
def test_zero_stages_and_torch_give_one_loss_curve(stage, rank_losses, torch_curves):
    assert rank_losses[2][f"stage {stage}"] == pytest.approx(torch_curves["backprop"], rel=2e-5)


def test_buffers_of_zero_are_of_the_size_of_the_network(rank_losses, text_tree, text_data):
    """A sixteenth of its weights; those of DeepSpeed beside one of 10^12 weights."""
    weights = engine_of(resolve(text_tree), text_data, Ranks()).network.parameters()
    share = sum(of.numel() for of in weights) // 16
    assert rank_losses[2]["stage 2 bucket"] == rank_losses[2]["stage 3 bucket"] == [share]
    assert zero.buffers(16)["reduce_bucket_size"] == 2**20
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    large = DeepSpeedZeroConfig(stage=3, **zero.buffers(10**12)).model_dump()
    default = DeepSpeedZeroConfig(stage=3).model_dump()
    assert {name: of for name, of in large.items() if of != default[name]} == {
        "model_persistence_threshold": 10**12 // 16
    }


@pytest.mark.parametrize("stage", [1, 3])
def test_predictive_coding_under_zero_equals_torch(stage, rank_losses, torch_curves):
    assert rank_losses[2][f"stage {stage} predictive coding"] == pytest.approx(
        torch_curves["predictive coding"], rel=2e-5
    )


@pytest.mark.parametrize("stage", [1, 3])
def test_what_is_seen_of_settling_on_two_ranks_is_what_one_process_sees(
    stage, rank_losses, text_tree, text_data
):
    ranks = rank_losses[2][f"stage {stage} predictive coding seen"]
    monitored_alone(resolve(text_tree | PC), text_data, ranks, rel=1e-3, abs=1e-12)
    assert "error_norm_layer_2" in [name for _, name, _ in ranks]


@pytest.mark.parametrize("stage", [2, 3])
def test_two_ranks_see_of_attention_what_one_process_sees_of_the_whole_batch(
    stage, rank_losses, text_tree, text_data
):
    engine = engine_of(resolve(text_tree), text_data, Ranks())
    curve(engine, Ranks(), range(STEPS))
    (alone,), ranks = engine.attended(STEPS), rank_losses[2][f"stage {stage} attended"]
    assert [tuple(row[:5]) for row in ranks] == [row[:5] for row in alone]
    for column in ("entropy", "log_precision"):
        place = AttentionRow._fields.index(column)
        assert [row[place] for row in ranks] == pytest.approx(
            [row[place] for row in alone], rel=1e-4, abs=1e-6
        )


@pytest.mark.parametrize("case", WATCHED)
def test_records_under_stage_3_change_no_bit_of_what_is_learned(case, rank_losses):
    assert rank_losses[2][f"{case} watched"] == rank_losses[2][f"{case} resumed"]


@pytest.mark.parametrize(
    "case", ["stage 0 muon in parts", "stage 2 averaged in parts", "stage 3 averaged in parts"]
)
def test_parts_of_a_batch_averages_and_muon_under_zero_equal_torch(case, rank_losses, torch_curves):
    """The last value is the validation loss of the running mean."""
    alone = torch_curves[case.split(maxsplit=2)[2]]
    assert rank_losses[2][case] == pytest.approx(alone, rel=2e-5)
    assert rank_losses[2][f"{case} resumed"] == pytest.approx(alone[STEPS // 2 :], rel=2e-5)


def test_a_batch_in_parts_teaches_what_it_teaches_whole(torch_curves):
    whole, parts = torch_curves["backprop"], torch_curves["averaged in parts"]
    assert parts[:STEPS] == pytest.approx(whole[:STEPS], rel=1e-5)
    assert parts[STEPS] != pytest.approx(whole[STEPS], rel=1e-3), "validated is the mean of the weights"


@pytest.mark.parametrize("case", list(SETTLED))
def test_pathways_starts_and_what_is_seen_of_them_under_zero_equal_torch(
    case, rank_losses, text_tree, text_data
):
    """Ranks take the steps on the errors that one process takes."""
    # a curvature of one rank's share alone would differ by 6e-4
    rel = 1e-4 if SETTLED[case] is SECANT else 2e-3
    experiment, ranks = resolve(text_tree | {"learning": SETTLED[case]}), rank_losses[2][f"{case} seen"]
    seen = monitored_alone(experiment, text_data, ranks, rel=rel, abs=1e-6)
    assert rank_losses[2][f"{case} iterations"] == [seen.iterations] * 2
    if SETTLED[case] is EARLY:
        assert 1 < seen.iterations < EARLY["iterations"]


@pytest.mark.parametrize(
    "case",
    [
        "stage 1 several steps",
        "stage 3 learned law",
        "stage 3 nodes by head",
        "stage 2 incremental",
        *SETTLED,
    ],
)
def test_a_rule_of_several_steps_and_others_of_predictive_coding_under_zero_equal_torch(
    case, rank_losses, torch_curves
):
    alone = torch_curves[case.split(maxsplit=2)[2]]
    assert rank_losses[2][case] == pytest.approx(alone, rel=2e-5)
    assert alone != pytest.approx(torch_curves["backprop"], rel=1e-3)


@pytest.mark.parametrize("case", list(IMAGES))
def test_models_of_images_under_zero_equal_torch(case, rank_losses, torch_curves):
    """Stage 3 too, whose weights are gathered whole for a lesson: the spread is a derivative of a derivative."""
    alone = torch_curves[case.split(maxsplit=2)[2]]
    assert rank_losses[2][case] == pytest.approx(alone, rel=2e-5)
    assert alone[-1] < alone[0] - 0.03


@pytest.mark.parametrize("stage", [1, 3])
def test_images_settle_on_two_ranks_in_the_steps_of_one_process(stage, rank_losses, text_tree, digits_data):
    """In a lesson; in validation each rank takes those of its own images."""
    case = f"stage {stage} early digits"
    ranks = rank_losses[2][f"{case} seen"]
    seen = monitored_alone(resolve(text_tree | EARLY_DIGITS), digits_data, ranks, rel=2e-3, abs=1e-6)
    assert rank_losses[2][f"{case} iterations"] == [seen.iterations] * 2
    assert 1 < seen.iterations < EARLY_DIGITS["learning"]["iterations"]
    first, second = rank_losses[2][f"agreed stage {stage} steps of validation"]
    assert first != second


@pytest.mark.parametrize("stage", [1, 3])
def test_what_one_rank_alone_cannot_settle_ends_all_with_one_message(
    stage, rank_losses, text_tree, digits_data
):
    """A lesson is of all ranks' shares, a validation image of one rank's, here of the second."""
    engine = engine_of(resolve(text_tree | UNSTABLE), digits_data, Ranks())
    with pytest.raises(Unsettled) as alone:
        engine.step(engine.feed.batch(0), 0)
    for act in ("lesson", "validation"):
        one, other = rank_losses[2][f"agreed stage {stage} {act}"]
        assert one == other
        assert one.startswith("learning.step_size: given 1000; iteration 1 raised the energy from ")
        assert "\n" not in one
        if act == "lesson":
            assert (
                one.partition(", with the largest")[2] == str(alone.value).partition(", with the largest")[2]
            )


def test_ranks_tell_each_other_what_one_of_them_knows(rank_losses):
    assert rank_losses[2]["agreed words"] == [["zwei ü", "one", ""]] * 2
    assert rank_losses[2]["agreed greatest"] == [5, 5]
    assert rank_losses[2]["agreed summed"] == [[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 3.0, 4.0]]
    alone = Ranks()
    assert (alone.first_told("x"), alone.greatest(3)) == ("x", 3)
    with pytest.raises(OSError, match="disk"), alone.agreed(Unsettled):
        raise OSError("disk")


def test_an_error_of_one_rank_is_met_by_all_whatever_it_says(rank_losses):
    """The one that met it raises it itself, others one of the same words; of two errors all have the first's words."""
    agreed = {case: rank_losses[2][f"agreed {case}"] for case in ("nothing said", "one error", "two errors")}
    assert agreed == {
        "nothing said": [["", False, "None"], ["", True, "None"]],
        "one error": [["rose", False, "None"], ["rose", True, "None"]],
        "two errors": [["rose on 0", True, "None"], ["rose on 0", False, "rose on 1"]],
    }
    assert rank_losses[2]["agreed no error"] == [[], []]


@pytest.mark.parametrize("words", ["rose", ""])
def test_a_process_alone_meets_its_own_error(words):
    own = Unsettled(words)
    with pytest.raises(Unsettled) as caught, Ranks().agreed(Unsettled):
        raise own
    assert caught.value is own
    assert own.__cause__ is None


def test_a_sum_of_one_process_is_a_copy():
    values = torch.ones(2)
    total = Ranks().sum(values)
    total += 1
    assert values.tolist() == [1, 1]


def test_a_cell_that_cannot_settle_under_stage_3_leaves_nothing_to_the_next(rank_losses):
    """The next one's weights are, bit for bit, those of a stage without a failed cell."""
    ((seed, split, cause),) = rank_losses[2]["failed cell"]
    assert (seed, split) == (0, 0)
    assert cause.startswith("learning.step_size: given 1000; iteration 1 raised the energy from ")
    assert rank_losses[2]["running modules"] == [0, 0]
    one, two = rank_losses[2]["weights beside a failed cell"]
    assert one == two


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_all_ranks_end_with_the_line_of_a_loss_that_is_not_finite(stage, rank_losses):
    """Stage 0 is a pipeline of two stages."""
    first, second = rank_losses[2][f"diverged {stage}"]
    assert first == second
    assert re.fullmatch(
        r"training loss is not finite at step 1 of seed 0, split 0; no step was taken before it: .* \(first output "
        r"that is not finite: layers\.1 \(attention\); last finite validation: none; no checkpoint\)",
        first,
    )


@pytest.mark.parametrize("case", ["stage 2 odd rows", "stage 2 odd rows resumed"])
def test_ranks_with_unequal_shares_and_clipping_equal_one_process(case, rank_losses, torch_curves):
    steps = torch_curves["odd rows"][-len(rank_losses[2][case]) :]
    assert rank_losses[2][case] == pytest.approx(steps, rel=2e-5)


def test_a_damaged_checkpoint_is_refused_in_one_line_that_names_it(rank_losses):
    for refusal, name in zip(rank_losses[1]["refused"], ("stage 0", "stage 1"), strict=True):
        assert f"checkpoints/{name}/state: cannot be read (" in refusal
        assert "; delete the checkpoint " in refusal
        assert "\n" not in refusal


SEQUENCES = {"scorers of sequences", "scorers of padded sequences", "nodes by head"}


def test_loss_falls(torch_curves):
    """Those of readers of sequences take more steps: the test below, and the figures of nodes in docs."""
    for name in sorted(torch_curves.keys() - SEQUENCES):
        assert torch_curves[name][STEPS - 1] < torch_curves[name][0] - 0.03, name


def test_a_reader_of_sequences_learns_more_than_chance(text_tree, scenes_data):
    """A quarter of the loss of guessing among ten digits."""
    experiment = scenes(text_tree, encoder={"kind": "tokens", "lengths": 4})
    longer = experiment.model_copy(update={"training": experiment.training.model_copy(update={"steps": 48})})
    losses = curve(engine_of(longer, scenes_data, Ranks()), Ranks(), range(48))
    assert losses[0] == pytest.approx(np.log(10), abs=0.05)
    assert np.mean(losses[40:48]) < np.log(10) / 4


def test_bfloat16_follows_float32_to_its_precision(rank_losses, torch_curves):
    losses = rank_losses[2]["stage 1 bfloat16"]
    assert losses == pytest.approx(torch_curves["backprop"], rel=2e-2)
    assert not np.allclose(losses, torch_curves["backprop"], rtol=1e-6, atol=0)


PIPELINES = {
    "stage 0 pipeline averaged in parts": "averaged in parts",
    "stage 0 pipeline odd rows": "odd rows",
}
"""Case of two ranks that each hold half of the layers -> what one process does."""


def test_ranks_of_pipelines_share_batches_in_deepspeeds_order():
    """Two stages of two pipelines: ranks 0 and 1 have the first layers, 2 and 3 the others."""
    assert [(Ranks(rank, 4).shares(2).index, Ranks(rank, 4).shares(2).count) for rank in range(4)] == [
        (0, 2),
        (1, 2),
        (0, 2),
        (1, 2),
    ]


@pytest.mark.parametrize("case", PIPELINES)
def test_layers_on_ranks_of_their_own_equal_one_process(case, rank_losses, torch_curves):
    """Losses, clipping by the gradient of all layers, the running mean, and what goes on from a checkpoint."""
    alone = torch_curves[PIPELINES[case]]
    assert rank_losses[2][case] == pytest.approx(alone, rel=2e-5)
    assert rank_losses[2][f"{case} resumed"] == pytest.approx(alone[STEPS // 2 :], rel=2e-5)


def test_two_pipelines_of_two_stages_equal_one_process(pipelines_losses, rank_losses, torch_curves):
    """Four ranks: the gradient is summed over pipelines too, and a checkpoint of all of them goes on."""
    case, alone = "averaged in parts", torch_curves["averaged in parts"]
    assert pipelines_losses[case] == pytest.approx(alone, rel=2e-5)
    assert pipelines_losses[f"{case} resumed"] == pytest.approx(alone[STEPS // 2 :], rel=2e-5)
    assert pipelines_losses[f"{case} weight"] == pytest.approx(
        rank_losses[2][f"stage 2 {case} weight"], rel=1e-5
    )


def test_weights_of_all_stages_are_gathered_whole(rank_losses):
    case = "averaged in parts weight"
    assert rank_losses[2][f"stage 0 pipeline {case}"] == pytest.approx(
        rank_losses[2][f"stage 2 {case}"], rel=1e-5
    )


def test_a_pipeline_in_bfloat16_follows_float32_to_its_precision(rank_losses, torch_curves):
    losses = rank_losses[2]["stage 0 pipeline bfloat16"]
    assert losses == pytest.approx(torch_curves["backprop"], rel=2e-2)
    assert not np.allclose(losses, torch_curves["backprop"], rtol=1e-6, atol=0)


def test_a_weight_that_two_stages_share_is_refused():
    model = nn.ModuleDict({"below": nn.Linear(2, 2), "above": nn.Linear(2, 2)})
    model["above"].weight = model["below"].weight
    owners = dict.fromkeys(model.state_dict(), 0)
    _check_apart(model, owners)
    said = (
        "engine.pipeline_stages: above.weight is below.weight, which lies on another stage; let layers share no "
        "weights or use one stage"
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        _check_apart(model, owners | {"above.weight": 1, "above.bias": 1})


def test_more_stages_than_layers_are_refused(table_experiment, table_data):
    engine = {"kind": "deepspeed", "ranks": 3, "zero_stage": 0, "pipeline_stages": 3}
    experiment = resolve(table_experiment.model_dump() | {"engine": engine})
    said = "engine.pipeline_stages: 3 stages of a network of 2 layers, its readout included; use fewer"
    with pytest.raises(ValueError, match=said):
        engine_of(experiment, table_data, Ranks(0, 3))


def test_scorers_of_patches_under_zero_equal_one_process(rank_losses, torch_curves):
    """Their weights are cut over the ranks; tokens are whole numbers, which the same precisions round alike."""
    case = "stage 3 scorers"
    assert rank_losses[2][case] == pytest.approx(torch_curves["scorers"], rel=2e-5)
    assert rank_losses[2][f"{case} resumed"] == pytest.approx(torch_curves["scorers"][STEPS // 2 :], rel=2e-5)
    assert rank_losses[2][f"{case} refining"] == pytest.approx(
        torch_curves["scorers refining"], rel=2e-5, abs=1e-6
    )
    assert torch_curves["scorers"] != pytest.approx(torch_curves["scorers refining"], rel=1e-3)


def test_sequences_in_micro_batches_train_as_padded_ones(rank_losses, torch_curves):
    """Under ZeRO stage 3 too, where ranks have unlike numbers of micro-batches."""
    padded = pytest.approx(torch_curves["scorers of padded sequences"], rel=2e-5)
    assert torch_curves["scorers of sequences"] == padded
    assert rank_losses[2]["stage 3 scorers of sequences"] == padded


ON_TWO = (
    *ALONE,
    "stage 1 predictive coding",
    *SETTLED,
    *IMAGES,
)


@pytest.mark.parametrize(("ranks", "case"), [*product([2], dict.fromkeys(ON_TWO)), *product([1], ALONE)])
def test_a_checkpoint_of_two_ranks_goes_on_with(ranks, case, rank_losses):
    whole = rank_losses[2][case]
    assert rank_losses[ranks][f"{case} resumed"] == pytest.approx(whole[STEPS // 2 :], rel=2e-5)


def test_partitioned_weights_are_gathered_whole(rank_losses):
    assert rank_losses[2]["stage 3 weight"] == pytest.approx(rank_losses[2]["stage 1 weight"], rel=1e-5)


def test_ranks_import_neither_mlflow_nor_the_compiler(rank_losses):
    assert rank_losses[2]["unused modules"] == rank_losses[1]["unused modules"] == []
