"""Networks in int8 by ONNX Runtime: weights in 8 bits, the layers' inputs quantised at every batch."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors.point import Point
from precisionflow.models.posteriors.predictive import Features

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""Those of the extra `int8`."""
PRODUCT = "MatMulInteger"
"""What a product of matrices is in 8 bits."""


class Int8(nn.Module):
    """A point posterior whose network ONNX Runtime computes: W x + b with W and x in 8 bits, sums in 32.

    x has one scale for a batch, by its largest and smallest number. So a row with a number beyond `largest` is computed
    in float32: it would take their digits from the rows beside it, which may be those of somebody else.
    """

    def __init__(self, posterior: Point, session: Any, *, largest: float) -> None:
        super().__init__()
        self.posterior = posterior
        self.session = session
        self.largest = largest
        (self.given,) = (each.name for each in session.get_inputs())

    def predict(self, features: Features) -> Any:
        raw = self._within(features)
        return self.posterior.likelihood.predictive(raw)

    def _within(self, features: Features) -> Tensor:
        if not len(features) or max(abs(end) for end in map(float, torch.aminmax(features))) <= self.largest:
            return self._computed(features)
        beyond = features.abs().amax(dim=1) > self.largest
        raw = self._computed(torch.where(beyond[:, None], 0.0, features))
        raw[beyond] = self.posterior.model(features[beyond])
        return raw

    def _computed(self, features: Features) -> Tensor:
        (raw,) = self.session.run(None, {self.given: features.numpy()})
        return torch.from_numpy(raw)


def has_int8() -> bool:
    """Whether ONNX Runtime is there, and what exports to it."""
    return all(map(find_spec, PACKAGES))


def in_int8(posterior: Point, *, features: int, largest: float) -> Int8 | None:
    """The posterior of so many features, where none is beyond `largest`, in int8.

    None for a network that has no product of matrices, or that the exporter cannot follow.
    """
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        whole, shaped, eight = (Path(folder, f"{of}.onnx") for of in ("whole", "shaped", "eight"))
        if not _exported(posterior.model, features, whole):
            return None
        quant_pre_process(whole, shaped, skip_symbolic_shape=True)
        quantize_dynamic(shaped, eight, weight_type=QuantType.QInt8)
        if not _has(PRODUCT, eight):
            return None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(eight, options, providers=["CPUExecutionProvider"])
    return Int8(posterior, session, largest=largest)


def _exported(model: Layered, features: int, file: Path) -> bool:
    """Write the network for any number of rows; whether it can be written."""
    rows: tuple[Tensor, ...] = (torch.zeros(2, features),)
    try:
        found = torch.onnx.export(
            model, rows, dynamo=True, dynamic_shapes=({0: torch.export.Dim("rows")},), verbose=False
        )
    except torch.onnx.errors.OnnxExporterError:
        return False
    assert found is not None
    found.save(file)
    return True


def _has(kind: str, file: Path) -> bool:
    import onnx

    return any(node.op_type == kind for node in onnx.load(file).graph.node)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter tells of packages that it misses, of its own future and of its attempts.

    A handler that does nothing keeps the root logger without one of its own, which its first message would make.
    """
    nothing, before = logging.NullHandler(), logging.root.manager.disable
    logging.root.addHandler(nothing)
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(nothing)
