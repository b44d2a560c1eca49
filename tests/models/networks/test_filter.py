"""Filters of a moving target: their exact errors against the dense posterior's, what they learn, what they refuse."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from precisionflow.config import Experiment
from precisionflow.config.drawn_tables import MovingTarget
from precisionflow.config.filters import Filter
from precisionflow.data.sources.moving_target import best_weights, draw_targets, joint_covariance
from precisionflow.models.networks.filter import LIMITS, landing_filter
from precisionflow.models.networks.layered import Layered
from precisionflow.records.cards import Standardisation

COLOURED = MovingTarget(length=40)
WHITE = MovingTarget(length=40, motion_smoothness=0, reading_smoothness=0)
READINGS = COLOURED.length


def network(source: MovingTarget = COLOURED, **config: Any) -> Layered:
    as_it_is = Standardisation(
        feature_mean=(0.0,) * READINGS, feature_scale=(1.0,) * READINGS, target_mean=0.0, target_scale=1.0
    )
    return landing_filter(Filter.model_validate({"learned": "nothing"} | config), source, as_it_is)


def excess(source: MovingTarget, **config: Any) -> tuple[float, float]:
    """Exact mean squared error above the least, and the stated variance: a filter is linear in its readings."""
    covariance, (_, least) = joint_covariance(source), best_weights(joint_covariance(source))
    with torch.no_grad():
        weights, stated = (
            network(source, **config).layers[0].landing(torch.eye(READINGS, dtype=torch.float64))
        )
    w = weights.numpy()
    error = covariance[-1, -1] - 2 * w @ covariance[:-1, -1] + w @ covariance[:-1, :-1] @ w
    return float(error - least), stated.item() - float(error)


def test_on_white_noise_the_kalman_filter_is_the_dense_posterior() -> None:
    above, wrong = excess(WHITE, by="kalman")
    assert 0 <= above < 1e-4
    assert abs(wrong) < 1e-3
    assert excess(WHITE, by="augmented")[0] == pytest.approx(above), "it has no coordinates of white noise"


def test_on_coloured_noise_the_augmented_filter_becomes_the_dense_posterior_with_its_order() -> None:
    kalman, _ = excess(COLOURED, by="kalman")
    above = [excess(COLOURED, by="augmented", order=order)[0] / kalman for order in (3, 4, 6, 8)]
    assert above[0] < 0.25
    assert all(later < 0.6 * sooner for sooner, later in itertools.pairwise(above))
    assert above[-1] < 0.02
    assert abs(excess(COLOURED, by="augmented", order=8)[1]) < 0.01, (
        "the variance that it states is its error"
    )


def test_generalised_filtering_is_between_and_loses_on_white_noise() -> None:
    kalman, generalised = excess(COLOURED, by="kalman")[0], excess(COLOURED, by="generalised")[0]
    assert excess(COLOURED, by="augmented")[0] < generalised < 0.5 * kalman
    lost = excess(WHITE, by="generalised", smoothness=0.08)[0]
    assert lost > 10 * best_weights(joint_covariance(WHITE))[1]
    assert excess(WHITE, by="augmented", smoothness=0.08)[0] > 10 * best_weights(joint_covariance(WHITE))[1]


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"by": "kalman", "learned": "precisions"}, {"reading", "motion"}),
        ({"by": "augmented", "learned": "precisions"}, {"reading", "white", "motion"}),
        (
            {"by": "generalised", "learned": "precisions_and_smoothness"},
            {"reading", "motion", "rate", "spread", "motion_smoothness", "reading_smoothness"},
        ),
        ({"by": "augmented"}, set()),
    ],
)
def test_gradients_reach_what_is_learned(config: dict[str, str], names: set[str]) -> None:
    made = network(**config)
    mean, log_precision = made(torch.from_numpy(draw_targets(COLOURED)[:5, :-1]).float()).unbind(dim=1)
    (mean.square().sum() + log_precision.sum()).backward()
    (parameter,) = made.parameters()
    told = {name for name, slope in zip(LIMITS, parameter.grad.tolist(), strict=True) if slope}
    assert told == names
    assert list(made.state_dict()) == ["layers.0.log_factors"]


def test_scales_of_the_table_do_not_change_what_is_believed() -> None:
    rows = draw_targets(COLOURED)[:3, :-1]
    scales = Standardisation(
        feature_mean=tuple(np.linspace(-1, 2, READINGS)),
        feature_scale=tuple(np.linspace(0.5, 3, READINGS)),
        target_mean=0.7,
        target_scale=4.0,
    )
    scaled = landing_filter(Filter(learned="nothing"), COLOURED, scales)(
        torch.from_numpy(scales.standardise(rows)).float()
    )
    plain = network()(torch.from_numpy(rows).float())
    torch.testing.assert_close(4 * scaled[:, 0] + 0.7, plain[:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scaled[:, 1] - 2 * np.log(4.0), plain[:, 1])


def experiment(
    source: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **parts: Any
) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "landing",
            "task": {"kind": "regression", "source": {"kind": "moving_target", **(source or {})}},
            "model": {"kind": "filter", **(model or {})},
            "objective": {"kind": "gaussian_nll"},
            **parts,
        }
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": {"order": 1}}, "model.filter.order"),
        ({"model": {"by": "generalised", "order": 2}}, "model.embedding 3 is above model.order 2; lower it"),
        (
            {"model": {"by": "generalised"}, "source": {"motion_smoothness": 0}},
            "model.smoothness: white noise has no derivatives",
        ),
        (
            {"model": {"by": "generalised"}, "source": {"length": 3}},
            "model.embedding: 3 derivatives need 4 readings, and task.source.length is 3",
        ),
        ({"model": {"smoothness": 0}}, "smoothness"),
        ({"source": {"noise": 0}}, "noise"),
        ({"source": {"length": 501}}, "length"),
        (
            {"source": {"lead": 1e9}},
            "task.source.lead: 1e.09 s behind 60 readings, one every 0.02 s, are more than",
        ),
        ({"objective": {"kind": "laplace"}}, "objective"),
        ({"engine": {"kind": "batched"}}, "engine.kind"),
    ],
)
def test_what_no_filter_can_do_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        experiment(**given)


def test_other_tables_have_no_moving_target() -> None:
    with pytest.raises(
        ValueError, match=r"model\.kind: filter knows how a target moves, and task\.source\.kind sensors"
    ):
        experiment().model_validate(
            experiment().model_dump(mode="json")
            | {"task": {"kind": "regression", "source": {"kind": "sensors"}}}
        )
