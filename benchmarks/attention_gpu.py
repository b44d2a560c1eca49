"""Cost of attention on a GPU over FlashAttention: bfloat16, 4,096 tokens, forward and backward, and the kernels taken.

Forms that are functions of one inner product take FlexAttention or a kernel of the package. Medians of passes, timed by
events of the device, FlashAttention before each form. Errors are those of the first sequence, output and gradients, to
the same form in float32 by blocks. `--page docs/performance.md` writes what `--json` wrote in a run with a GPU.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from attention_forms import Attended
from attention_gpu_forms import (
    CAUSAL,
    DOT,
    FULL,
    ROWS,
    SHAPE,
    Flash,
    Row,
    errors,
    flash,
    made,
    of,
    once,
    passes,
)
from attention_page import write_gpu
from device_timing import kernels, milliseconds, peak
from measured import Measured, arguments, present
from torch import Tensor, nn

WORKERS = 12
"""Processes that compile kernels side by side before anything is timed."""
COMPILING = 90
"""Seconds that they have."""
SIZES = (
    (64, 64, 4, 2),
    (64, 64, 4, 3),
    (64, 64, 4, 4),
    (128, 64, 4, 2),
    (128, 64, 4, 3),
    (128, 64, 8, 2),
    (128, 64, 8, 3),
    (128, 128, 8, 2),
    (64, 32, 4, 3),
)
"""Rows and columns of a block of a kernel of the package, warps, stages: what its sizes were chosen from."""
KINDS = ("mean", "backward")
TUNED = ("Gaussian, isotropic", "Student's t", "Laplace, elliptical", "mixture of two Gaussians")
LARGEST_ERROR = 0.05
"""Of an output and of gradients of tokens in bfloat16, over their norm; wrong ones differ by 0.4 and more."""
PARAMETERS = "gradients of parameters"
"""They are sums of millions of terms that cancel, so that bfloat16 leaves few digits of some."""


def measured(row: Row, gradient: Tensor) -> Iterator[Measured]:
    """Everything that is measured of a row, the cheapest and most important first."""
    torch._dynamo.reset()
    plain, module = flash(row), made(row)
    base, spent = milliseconds(passes(plain, gradient)), milliseconds(passes(module, gradient))
    yield Measured(f"{row.name}, over FlashAttention", spent / base, "1", row.bar)
    yield Measured(f"{row.name}, time", spent, "ms")
    for name, share in kernels(passes(module, gradient)):
        yield Measured(f"{row.name}, share of {name}", share, "1")
    yield Measured(
        f"{row.name}, peak memory over FlashAttention",
        peak(passes(module, gradient)) / peak(passes(plain, gradient)),
        "1",
    )
    for kind, error in errors(module).items():
        yield Measured(
            f"{row.name}, error of {kind}", error, "1", None if kind == PARAMETERS else LARGEST_ERROR
        )
    sides = forward_only(module)
    if sides:
        yield Measured(f"{row.name}, both sides alone, forward", sides, "ms")


def forward_only(module: nn.Module) -> float | None:
    """Milliseconds of making query side and key side, without a fused kernel: what is left beside attention."""
    if not isinstance(module, Attended):
        return None

    def sides() -> None:
        with torch.autocast(SHAPE.device, SHAPE.dtype):
            module.potential(module.x, module.at)

    return milliseconds(sides)


def of_flash(gradient: Tensor) -> Iterator[Measured]:
    for prior in (FULL, CAUSAL):
        module = Flash(SHAPE, of(DOT, prior)).cuda()
        name = f"FlashAttention, {prior.kind}"
        yield Measured(f"{name}, time", milliseconds(passes(module, gradient)), "ms")
        yield Measured(f"{name}, peak memory", peak(passes(module, gradient)), "MiB")
        for kernel, share in kernels(passes(module, gradient)):
            yield Measured(f"{name}, share of {kernel}", share, "1")


def of_blocks() -> Iterator[Measured]:
    """The package's own kernels by the sizes of their blocks."""
    for row in tuned():
        for kind in KINDS:
            for sizes in SIZES:
                with contextlib.suppress(Exception), sized(kind, sizes):
                    yield Measured(f"{row.name}, {kind} by {sizes}", kernel_only(row, kind), "ms")


def tuned() -> list[Row]:
    return [row for row in ROWS if row.name in TUNED]


@contextlib.contextmanager
def sized(kind: str, sizes: tuple[int, int, int, int]) -> Iterator[None]:
    """Other sizes of the blocks of one kernel, for a while."""
    from precisionflow.models.attention.lowerings.kernels.given import BLOCKS, Blocks

    before = BLOCKS[kind]
    BLOCKS[kind] = Blocks(*sizes)
    try:
        yield
    finally:
        BLOCKS[kind] = before


def kernel_only(row: Row, kind: str) -> float:
    """Milliseconds of the mean, or of the gradients."""
    from precisionflow.models.attention.lowerings.flex import Scored
    from precisionflow.models.attention.lowerings.inner_product import InnerProduct
    from precisionflow.models.attention.lowerings.kernels.given import Layouts, given_of
    from precisionflow.models.attention.lowerings.kernels.gradients import gradients
    from precisionflow.models.attention.lowerings.kernels.mean import mean_of

    module = row.make(SHAPE, row.described).cuda()
    assert isinstance(module, Attended)
    with torch.no_grad(), torch.autocast(SHAPE.device, SHAPE.dtype):
        posterior, values = module.posterior(), module.values()
        assert isinstance(posterior.lowering, InnerProduct | Scored)
        score = posterior.lowering.score(posterior.queries, posterior.keys)
        assert score.form is not None
        layouts = Layouts(score.form, score.level, score.of_query, score.of_key)
        given = given_of(
            score.queries, score.keys, values, None, None, layouts, least=score.least, causal=False
        )
        if kind == "mean":
            return milliseconds(lambda: mean_of(given))
        mean, log_sum = mean_of(given)
        sides = [(side.shape, side.dtype) for side in (score.queries, score.keys)]
        gradient = torch.ones_like(mean)
        return milliseconds(
            lambda: gradients(given, sides, layouts, mean=mean, log_sum=log_sum, gradient=gradient)
        )


def write(results: list[Measured], file: Path | None) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")


def compile_all() -> None:
    """Every kernel is compiled once, by several processes into one cache."""
    start = time.perf_counter()
    environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "2"}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "--compile", str(worker)], stderr=subprocess.DEVNULL, env=environment
        )
        for worker in range(WORKERS)
    ]
    for worker in workers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(max(1.0, COMPILING - (time.perf_counter() - start)))
        if worker.poll() is None:
            worker.kill()
    print(f"compiled in {time.perf_counter() - start:.0f} s", flush=True)


def compile_some(worker: int) -> None:
    """The rows of one process; those that fail do so again where it is said why."""
    gradient = torch.randn(SHAPE.batch, SHAPE.heads, SHAPE.tokens, SHAPE.width, device="cuda")
    for row in ROWS[worker::WORKERS]:
        torch._dynamo.reset()
        with contextlib.suppress(Exception):
            once(made(row), gradient)
            torch.cuda.synchronize()
    sizes_of = [(row, kind, sizes) for row in tuned() for kind in KINDS for sizes in SIZES]
    for row, kind, sizes in sizes_of[worker::WORKERS]:
        with contextlib.suppress(Exception), sized(kind, sizes):
            kernel_only(row, kind)


def measure_all(file: Path | None, names: list[str]) -> list[Measured]:
    """Every row; what fails is said and the others go on."""
    gradient = torch.randn(
        SHAPE.batch, SHAPE.heads, SHAPE.tokens, SHAPE.width, device="cuda", dtype=torch.bfloat16
    )
    results: list[Measured] = []
    parts = [("FlashAttention", lambda: of_flash(gradient))]
    parts += [(row.name, partial(measured, row, gradient)) for row in ROWS]
    parts.insert(-2, ("blocks", of_blocks))
    for name, part in parts:
        if names and name not in names:
            continue
        start = time.perf_counter()
        try:
            for result in part():
                results.append(result)
                print(f"{result.measure}: {result.value:.4g} {result.unit}", flush=True)
                write(results, file)
        except Exception as error:
            traceback.print_exc(limit=-8)
            text = " ".join(str(error).split())[:200]
            results.append(Measured(f"{name}, failed: {type(error).__name__}: {text}", float("nan"), "1"))
            write(results, file)
        print(f"-- {name}: {time.perf_counter() - start:.1f} s", flush=True)
        with contextlib.suppress(Exception):
            torch.cuda.empty_cache()
    return results


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--compile", type=int, metavar="WORKER", help="only compile the rows of one worker")
    parser.add_argument("--rows", nargs="*", default=[], help="only these")
    parser.add_argument("--page", type=Path, metavar="MD", help="write the results of --json into a page")
    given = parser.parse_args()
    if given.page:
        write_gpu(given.page, json.loads(given.json.read_text(encoding="utf-8")))
        return
    if not torch.cuda.is_available():
        print("not run: torch finds no GPU here, and FlashAttention and FlexAttention are kernels of one")
        write([], given.json)
        return
    if given.compile is not None:
        compile_some(given.compile)
        return
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()
        os.environ["TRITON_CACHE_DIR"] = os.environ["TORCHINDUCTOR_CACHE_DIR"] + "/triton"
    name = torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, {SHAPE}", flush=True)
    if not given.rows:
        compile_all()
    results = measure_all(given.json, given.rows)
    results.append(Measured(f"device: {name}, torch {torch.__version__}", 1, "1"))
    present(results, given.json)


if __name__ == "__main__":
    main()
