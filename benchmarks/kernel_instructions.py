"""What the package's attention kernels ask of an H100, counted without a GPU: instructions of their innermost loops.

Triton compiles them for compute capability 9.0 and its `cuobjdump` lists the machine's instructions. One warp of four
goes through a block of 64 by 64 edges, 32 edges a thread. A multiprocessor issues 128 instructions of threads a clock,
16 of them functions (exponential, logarithm, root). Times are measured by `attention_gpu.py`, on a GPU alone.
"""

import collections
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from measured import Measured, arguments, present

WIDTH, TABLE, TOKENS = 64, 64, 4096
FORMS: dict[str, dict[str, Any]] = {
    "dot product": {"FORM": 0},
    "Gaussian, isotropic": {"FORM": 0, "PARTS": 16},
    "Student's t": {"FORM": 1, "PARTS": 16, "OWNS": 1},
    "Laplace, elliptical": {"FORM": 2, "PARTS": 16, "OWNS": 1},
    "mixture of two Gaussians": {"FORM": 3, "OWNS": 4},
    "mixture of two Gaussians, tempered": {"FORM": 4, "OWNS": 5},
    "dot product, relative prior": {"FORM": 0, "TABLED": 1, "LEARNED": True, "LARGEST": TABLE},
    "dot product, bias of the key": {"FORM": 0, "KEYED": True},
    "dot product, geometric prior": {"FORM": 0, "TABLED": 2, "LARGEST": TOKENS - 1, "CAUSAL": True},
}
PLAIN = {"FORM": 0, "PARTS": 0, "OWNS": 0, "CAUSAL": False, "KEYED": False, "TABLED": 0, "LEARNED": False}
HALF = {"Q", "K", "VALUES", "QN", "KN", "DO", "DV", "MEAN"}
"""What is bfloat16; other tensors are float32."""
LENGTHS = {"TQ": "i32", "TK": "i32", "HEADS": "i32", "least": "fp32"}
SPILLED = ("LDL", "STL")
EDGES = 32
"""Of a block, for one thread."""


class Loop(NamedTuple):
    """A block of edges, for one thread."""

    instructions: int
    functions: int
    spilled: int


def loops(kernel: Any, form: dict[str, Any]) -> list[Loop]:
    """Every loop of a kernel, as it lies in the program."""
    import triton  # type: ignore[import-untyped,import-not-found]
    from triton.backends.compiler import GPUTarget  # type: ignore[import-untyped,import-not-found]
    from triton.compiler import ASTSource  # type: ignore[import-untyped,import-not-found]

    from precisionflow.models.attention.lowerings.kernels.given import BLOCKS

    blocks = BLOCKS["mean" if "MEAN" in kernel.arg_names else "backward"]
    fixed = PLAIN | {"D": WIDTH, "V": WIDTH, "ROWS": blocks.rows, "STEP": blocks.step, "LARGEST": 0} | form
    signature, constants, aligned = {}, {}, {}
    for place, name in enumerate(kernel.arg_names):
        if name in fixed:
            signature[name], constants[place,] = "constexpr", fixed[name]
        elif name in LENGTHS:
            signature[name] = LENGTHS[name]
        else:
            signature[name] = "*bf16" if name in HALF else "*fp32"
        if name not in fixed and name not in ("HEADS", "least"):
            aligned[place,] = [["tt.divisibility", 16]]
    compiled = triton.compile(
        ASTSource(kernel, signature, constants, aligned),
        target=GPUTarget("cuda", 90, 32),
        options={"num_warps": blocks.warps, "num_stages": blocks.stages},
    )
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        listed = subprocess.run([tool, "-sass", file.name], capture_output=True, text=True, check=True).stdout
    return list(_loops(listed))


def _loops(listed: str) -> Iterator[Loop]:
    """What lies between a branch backwards and where it goes."""
    lines = [(int(at, 16), text) for at, text in re.findall(r"/\*([0-9a-f]{4,})\*/\s+(.*?);", listed)]
    for at, text in lines:
        target = re.search(r"\bBRA\b.*?0x([0-9a-f]+)", text)
        if target and int(target[1], 16) < at:
            inside = [of for place, of in lines if int(target[1], 16) <= place <= at]
            names = [re.sub(r"^@!?U?P\w+\s+", "", of).split()[0].split(".")[0] for of in inside]
            count = collections.Counter(names)
            yield Loop(len(inside), count["MUFU"], sum(count[name] for name in SPILLED))


def counted(name: str, form: dict[str, Any]) -> Iterator[Measured]:
    """Forward and backward pass together; of several loops that of blocks far from the diagonal, which are the most."""
    from precisionflow.models.attention.lowerings.kernels.backward import backward_kernel
    from precisionflow.models.attention.lowerings.kernels.mean import _mean_kernel

    both = [
        min(loops(kernel, form), key=lambda loop: loop.instructions)
        for kernel in (_mean_kernel, backward_kernel)
    ]
    instructions, functions, spilled = (sum(of) / EDGES for of in zip(*both, strict=True))
    yield Measured(f"{name}: instructions of an edge", instructions, "1")
    yield Measured(f"{name}: functions of an edge", functions, "1")
    yield Measured(f"{name}: instructions for registers that do not suffice", spilled, "1")


def main() -> None:
    given = arguments(__doc__).parse_args()
    present([one for name, form in FORMS.items() for one in counted(name, form)], given.json)


if __name__ == "__main__":
    main()
