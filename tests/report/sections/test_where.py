"""Where it holds: bins outside of their bands are counted, the furthest feature is drawn, with its numbers."""

import re
from typing import Any

import pytest

from precisionflow.evaluation.where import COVERAGE
from precisionflow.evaluation.where_classes import coverage_name, size_name
from precisionflow.records.schemas import SURENESS
from precisionflow.report.cells import Finished
from precisionflow.report.material import Group, Material
from precisionflow.report.page import templates
from precisionflow.report.sections import where
from tests.synthetic import regression

VARIANTS = ("plain", "sure")
NOTHING = (float("nan"),) * 2


def row(variant: str, feature: str, index: int, metric: str, mean: float) -> dict[str, Any]:
    chance = {COVERAGE: (0.9, 1.0), "std": NOTHING}.get(metric, (1.0, 2.0))
    return {
        **{"experiment": "noise", "dataset": "d", "variant": variant, "feature": feature, "bin": index},
        **{"low": float(index), "high": index + 0.5, "label": "", "metric": metric},
        **{"mean": mean, "n": 30, "cells": 3},
        **dict(zip(("chance_low", "chance_high"), chance, strict=True)),
    }


def rows(**lost: float) -> list[dict[str, Any]]:
    """Bins of features in which the second variant's coverage in bin 1 is so much below its band; out of order."""
    found = []
    for feature, less in {SURENESS: 0.0, **lost}.items():
        for variant in VARIANTS:
            for index in (2, 1, 0):
                coverage = 0.9 - less if (variant, index) == ("sure", 1) else 0.95
                scores = {COVERAGE: coverage, "rmse": 1.5, "std": 1.2, "nll": 1.1}
                found += [row(variant, feature, index, metric, mean) for metric, mean in scores.items()]
    return found


def shown(found: list[dict[str, Any]]) -> tuple[where.Where, str]:
    experiment = regression()
    group = Group(experiment, "d", (), (), (), Finished(), Finished(), "x0-0", where=tuple(found))
    section = where.section(Material(experiment, (group,), (), "x0"))
    assert section is not None
    text = templates().get_template(section.template).render(section.context, title=section.title)
    return section.context["groups"][0], text


def test_bins_outside_of_their_bands_are_counted_with_the_furthest() -> None:
    found, text = shown(rows(a=0.0, b=0.2))
    (summary,) = found.summaries
    body = {line[0].text: line[1:] for line in summary.rows}
    assert [line[0].text for line in summary.rows] == ["stated std", "b", "a"]
    assert [entry.text for entry in body["b"]] == ["0 of 3", "1 of 3"]
    assert (body["b"][1].note, body["b"][1].chance) == ("0.700 in 1.00 to 1.50", "0.90 to 1.00")
    assert [entry.text for entry in body["a"]] == ["0 of 3", "0 of 3"]
    assert "Bins whose coverage of 95 % intervals is outside of its band" in text


def test_the_features_furthest_outside_are_drawn_and_all_drawn_have_numbers() -> None:
    found, text = shown(rows(a=0.1, b=0.3, c=0.2, d=0.0))
    captions = [picture.caption for picture in found.pictures]
    drawn = [re.search(r"by (.*)\.", caption)[1] for caption in captions[::2]]  # type: ignore[index]
    assert drawn == ["stated std", "b", "c"]
    assert len(found.tables) == 4 * len(drawn)
    (of_b,) = (t for t in found.tables if t.caption == "Coverage of 95 % intervals by b")
    assert [line[2].text for line in of_b.rows] == ["0.950", "0.600", "0.950"]
    assert of_b.rows[0][0].note == "30 rows"
    assert text.count('role="img" aria-label="Coverage of 95 % intervals in bins of ') == 3
    assert text.count('aria-label="Root mean squared error and stated std in bins of ') == 3


def test_of_classes_accuracy_and_sets_are_judged_each_by_its_own_band() -> None:
    scores = {
        "accuracy": 0.95,
        "confidence": 0.9,
        coverage_name("aps"): 0.97,
        size_name("aps"): 1.4,
        "nll": 1.1,
    }
    bands = {"accuracy": (0.9, 1.0), coverage_name("aps"): (0.9, 0.96), "nll": (1.0, 2.0)}
    lines = []
    for feature in (SURENESS, "a"):
        for variant in VARIANTS:
            for metric, mean in scores.items():
                if variant == "sure" and feature == "a":
                    continue
                chance = dict(zip(("chance_low", "chance_high"), bands.get(metric, NOTHING), strict=True))
                lines += [row(variant, feature, index, metric, mean) | chance for index in range(3)]
    found, text = shown(lines)
    accuracy, sets = found.summaries
    assert [entry.text for entry in accuracy.rows[0]] == ["confidence", "0 of 3", "0 of 3"]
    assert [entry.text for entry in sets.rows[1]] == ["a", "3 of 3", "—"]
    assert "Bins whose coverage of 95 % sets by APS is outside of its band" in text
    assert len(found.pictures) == 2 * 2
    captions = [table.caption for table in found.tables]
    assert captions[:3] == [
        "Accuracy by confidence",
        "Mean confidence by confidence",
        "Coverage of 95 % sets by APS by confidence",
    ]
    assert len(captions) == 2 * len(scores)


def test_a_feature_named_like_what_is_stated_is_a_line_of_its_own() -> None:
    (summary,) = shown(rows(**{"stated std": 0.2}))[0].summaries
    assert [(line[0].text, line[2].text) for line in summary.rows] == [
        ("stated std", "0 of 3"),
        ("stated std", "1 of 3"),
    ]


def test_a_line_has_the_look_that_the_legend_gives_its_variant() -> None:
    found = [r for r in rows(a=0.0) if (r["variant"], r["feature"]) != ("plain", "a")]
    group, _ = shown(found)
    looks = [re.findall(r"#[0-9a-f]{6}|var\(--series-\d\)", key.sample) for key in group.legend]
    of_a = next(p.drawn.svg for p in group.pictures if p.caption.endswith(" by a."))
    assert looks[0] != looks[1]
    assert looks[1][0] in of_a
    assert looks[0][0] not in of_a


def test_a_bin_that_a_variant_has_not_is_a_dash() -> None:
    found = [r for r in rows(a=0.0) if (r["variant"], r["bin"]) != ("sure", 2)]
    (of_a,) = (t for t in shown(found)[0].tables if t.caption == "Stated std by a")
    assert [entry.text for entry in of_a.rows[2]][1:] == ["1.20", "—"]


def test_kinds_are_told_by_their_names() -> None:
    labels = {index: {"label": name} for index, name in enumerate(("ADJ", "NOUN", "VERB"))}
    group, _ = shown([r | (labels[r["bin"]] if r["feature"] == "tag" else {}) for r in rows(tag=0.2)])
    (of_tag,) = (t for t in group.tables if t.caption == "Coverage of 95 % intervals by tag")
    assert [line[0].text for line in of_tag.rows] == ["ADJ", "NOUN", "VERB"]
    assert [line[-1].note for line in group.summaries[0].rows] == ["", "0.700 in NOUN"]
    for name in ("ADJ", "NOUN", "VERB"):
        assert any(
            f"<!-- {name} -->" in picture.drawn.svg or f">{name}<" in picture.drawn.svg
            for picture in group.pictures
        )


def test_without_bins_there_is_no_section() -> None:
    group = Group(regression(), "d", (), (), (), Finished(), Finished(), "x0-0")
    assert where.section(Material(regression(), (group,), (), "x0")) is None


@pytest.mark.parametrize("features", [{}, {"a": 0.0}])
def test_few_features_are_enough(features: dict[str, float]) -> None:
    assert len(shown(rows(**features))[0].pictures) == 2 * (1 + len(features))
