"""What answers take and give, and how MLflow writes it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from precisionflow.records.cards import DatasetCard
from precisionflow.records.columns import NumberInput

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

LEVEL = 0.95
"""Probability of the interval, or of the set of classes, where a call gives none."""


def columns_of(card: DatasetCard) -> dict[str, str | None]:
    """Columns of a table that a model takes, by MLflow's types."""
    return {column.name: "double" if isinstance(column, NumberInput) else None for column in card.inputs}


class Contract(NamedTuple):
    """What answers take and give: columns by MLflow's types, none: any; parameters by type and default."""

    inputs: Mapping[str, str | None]
    outputs: Mapping[str, str]
    params: Mapping[str, tuple[str, Any]]

    @classmethod
    def of(
        cls, inputs: Mapping[str, str | None], outputs: Mapping[str, str], **params: tuple[str, Any]
    ) -> "Contract":
        return cls(inputs, outputs, params)

    def signature(self) -> "ModelSignature":
        """The same as MLflow writes it."""
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
        from mlflow.types.schema import AnyType

        given, said = (
            Schema([ColSpec(kind or AnyType(), name) for name, kind in columns.items()])
            for columns in (self.inputs, self.outputs)
        )
        params = [ParamSpec(name, kind, default) for name, (kind, default) in self.params.items()]
        return ModelSignature(given, said, ParamSchema(params))
