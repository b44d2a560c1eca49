"""Seconds of networks in ONNX Runtime: {networks: {name: [[weight, bias], ...]}, rows, calls, longest} on stdin.

float32, and int8 by its dynamic quantisation; one thread, the least of some calls, in turn.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic


def graph(layers: list) -> onnx.ModelProto:
    """Linear layers with ReLU between them."""
    nodes, weights, at = [], [], "x"
    for index, (weight, bias) in enumerate(layers):
        last = index == len(layers) - 1
        names = f"w{index}", f"b{index}"
        for name, numbers in zip(names, (np.array(weight).T, np.array(bias)), strict=True):
            weights.append(numpy_helper.from_array(numbers.astype(np.float32), name))
        nodes += [
            helper.make_node("MatMul", [at, names[0]], [f"m{index}"]),
            helper.make_node("Add", [f"m{index}", names[1]], ["y" if last else f"a{index}"]),
        ]
        if not last:
            nodes.append(helper.make_node("Relu", [f"a{index}"], [f"h{index}"]))
            at = f"h{index}"
    widths = len(layers[0][0][0]), len(layers[-1][1])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
        for name, width in zip("xy", widths, strict=True)
    ]
    made = helper.make_graph(nodes, "network", ends[:1], ends[1:], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def seconds(sessions: dict, batch: np.ndarray, *, calls: int, longest: float) -> dict[str, float]:
    """The least of each."""
    found, begun, turns = dict.fromkeys(sessions, float("inf")), time.perf_counter(), 0
    while turns < 3 or (turns < calls and time.perf_counter() - begun < longest * len(sessions)):
        for name, of in sessions.items():
            start = time.perf_counter()
            of.run(None, {"x": batch})
            found[name] = min(found[name], time.perf_counter() - start)
        turns += 1
    return found


def main() -> None:
    given = json.load(sys.stdin)
    found: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, layers in given["networks"].items():
            whole, eight = (Path(folder, f"{of}.onnx") for of in ("whole", "eight"))
            onnx.save(graph(layers), whole)
            quantize_dynamic(whole, eight, weight_type=QuantType.QInt8)
            sessions = {"float32": session(whole), "int8": session(eight)}
            random = np.random.default_rng(1)
            for rows in given["rows"]:
                batch = random.normal(size=(rows, len(layers[0][0][0]))).astype(np.float32)
                times = seconds(sessions, batch, calls=given["calls"], longest=given["longest"])
                found.setdefault(name, {})[rows] = times
    print(json.dumps(found))


if __name__ == "__main__":
    main()
