"""A predictor in another arithmetic: bfloat16 by autocast, int8 by dynamic quantisation; more of GPUs."""

import copy
import dataclasses
import os
import platform
import warnings
from typing import Any, TypeVar

import torch
from torch import nn

from precisionflow.evaluation.tasks.classification import RowClassPredictor
from precisionflow.evaluation.tasks.regression import TablePredictor
from precisionflow.models.posteriors.dropout import Dropout
from precisionflow.models.posteriors.point import Point
from precisionflow.models.posteriors.predictive import Features, Predictive
from precisionflow.records.arithmetic import Arithmetic
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


def variants_of(predictor: Rows) -> dict[Arithmetic, Rows]:
    """The arithmetics that the predictor can be computed in, float32 first.

    Only posteriors of networks have others: models of images settle in float32. int8 needs a network with linear layers
    of its own, which an ensemble of stacked weights is not, and a processor whose kernels torch has; so do float8 and
    TensorRT, which need a GPU that has them.
    """
    found: dict[Arithmetic, Rows] = {"float32": predictor}
    if not isinstance(predictor.model, Predictive):
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
    if quantised := _quantised(predictor.model):
        found["int8"] = dataclasses.replace(predictor, model=quantised)
    return found


def _quantised(model: nn.Module) -> nn.Module | None:
    from torch.ao.quantization import quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao points to torchao, which is not installed here
        try:
            found = quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
        except RuntimeError:
            return None
    left = sum(type(module) is nn.Linear for module in found.modules())
    there = sum(type(module) is nn.Linear for module in model.modules())
    return found if left < there else None


def machine() -> str:
    """What times depend on."""
    processor = platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = torch.get_num_threads()
    return f"{processor}{gpu}, {os.cpu_count()} processors, {threads} threads, torch {torch.__version__}"
