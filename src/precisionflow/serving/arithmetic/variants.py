"""A predictor in another arithmetic: bfloat16 by autocast, int8 by ONNX Runtime; more of GPUs."""

import dataclasses
import os
import platform
from importlib import metadata
from typing import Any, TypeVar

import torch
from torch import nn

from precisionflow.evaluation.tasks.classification import RowClassPredictor
from precisionflow.evaluation.tasks.regression import TablePredictor
from precisionflow.models.posteriors.dropout import Dropout
from precisionflow.models.posteriors.point import Point
from precisionflow.models.posteriors.predictive import Features, Predictive
from precisionflow.records.arithmetic import Arithmetic
from precisionflow.serving.arithmetic.int8 import has_int8, in_int8
from precisionflow.serving.arithmetic.on_gpu import by_tensorrt, has_float8, has_tensorrt, in_float8

Rows = TypeVar("Rows", bound="TablePredictor | RowClassPredictor")


class HalfWidth(nn.Module):
    """A posterior whose matrix products are those of bfloat16."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def predict(self, features: Features) -> Any:
        with torch.autocast(features.device.type, dtype=torch.bfloat16):
            return self.model.predict(features)


def has_others(predictor: TablePredictor | RowClassPredictor) -> bool:
    """Whether there is another arithmetic than float32."""
    return isinstance(predictor.model, Predictive)


def variants_of(predictor: Rows, *, largest: float) -> dict[Arithmetic, Rows]:
    """The arithmetics that the predictor can be computed in, float32 first.

    `largest` is that of the standardised features that they were measured on, beyond which int8 is not for a row.

    Only posteriors of networks have others: models of images settle in float32. int8 is of a single network and needs
    the extra `int8`; float8 and TensorRT need a GPU that has them.
    """
    found: dict[Arithmetic, Rows] = {"float32": predictor}
    if not has_others(predictor):
        return found
    found["bfloat16"] = dataclasses.replace(predictor, model=HalfWidth(predictor.model))
    if not isinstance(predictor.model, Point | Dropout):
        return found
    gpu = torch.device("cuda")
    if has_tensorrt():
        found["tensorrt"] = dataclasses.replace(
            predictor, model=by_tensorrt(predictor.model).to(gpu), device=gpu
        )
    if has_float8():
        found["float8"] = dataclasses.replace(predictor, model=in_float8(predictor.model).to(gpu), device=gpu)
    if isinstance(predictor.model, Point) and has_int8():
        features = len(predictor.data_card.table.feature_mean)
        if quantised := in_int8(predictor.model, features=features, largest=largest):
            found["int8"] = dataclasses.replace(predictor, model=quantised)
    return found


def machine() -> str:
    """What times depend on."""
    processor = platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = torch.get_num_threads()
    libraries = f"torch {torch.__version__}"
    if has_int8():
        libraries += f", onnxruntime {metadata.version('onnxruntime')}"
    return f"{processor}{gpu}, {os.cpu_count()} processors, {threads} threads, {libraries}"
