"""A card of prepared data, made for tests of what is built from it."""

from typing import get_args

from precisionflow.config.tasks.texts import Auxiliary
from precisionflow.records.cards import DatasetCard, Standardisation, Vocabulary


def card(*, features: int = 3, tokens: int = 2, buckets: int = 0, classes: int = 2) -> DatasetCard:
    """Of data that are a table, a text and classified at once: a network takes what its task has."""
    return DatasetCard(
        dataset="any",
        task={},
        source_sha256="",
        split=0,
        rows={"train": 9, "valid": 9, "test": 9},
        standardisation=Standardisation(
            feature_mean=(0.0,) * features, feature_scale=(1.0,) * features, target_mean=0.0, target_scale=1.0
        ),
        vocabulary=Vocabulary(tokens=tuple(f"t{number}" for number in range(tokens)), buckets=buckets),
        classes=tuple(f"c{number}" for number in range(classes)),
        auxiliary=dict.fromkeys(get_args(Auxiliary), ("a", "b")),
    )
