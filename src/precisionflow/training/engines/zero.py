"""DeepSpeed's interface: settings, initialisation, checkpoints for another number of ranks, whole weights."""

import argparse
import contextlib
import gc
import io
import logging
import os
import shutil
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.config.engine import DeepSpeedEngine
from precisionflow.config.training import Training
from precisionflow.training.average import RunningMean, Weights, weights_of
from precisionflow.training.files import reading
from precisionflow.training.ranks import Ranks

NEVER = 1 << 62
LEAST_SHARE = 1 << 20
"""Numbers that a buffer may hold however small the network is."""


def settings(config: DeepSpeedEngine, training: Training, shares: int) -> dict[str, Any]:
    """DeepSpeed's configuration: micro-batches of a step, ZeRO stage, clipping; bfloat16 is the learner's autocast.

    `shares`: parts of a batch that are computed beside each other.
    """
    return {
        "train_micro_batch_size_per_gpu": training.batch_size // (shares * training.accumulate),
        "gradient_accumulation_steps": training.accumulate,
        "gradient_clipping": training.gradient_clip or 0.0,
        "steps_per_print": NEVER,
        "zero_optimization": {"stage": config.zero_stage},
        "zero_allow_untested_optimizer": True,
    }


def initialise(
    learner: nn.Module,
    optimiser: torch.optim.Optimizer,
    configuration: dict[str, Any],
    *,
    resume: Path | None,
    ranks: Ranks,
) -> Any:
    """A DeepSpeed engine, at the checkpoint in `resume` if given.

    A checkpoint of another number of ranks is first converted to the universal form by the first rank. Stage 0 keeps
    everything on every rank, so any rank's state serves any number. Parameter groups keep their settings and count
    their own steps: from a universal checkpoint of stage 3 all would get the first one's settings and one count
    together. ValueError for a checkpoint that is not whole.
    """
    import deepspeed

    _stages_are_saved_as_numbers()
    stage = configuration["zero_optimization"]["stage"]
    weights = sum(parameter.numel() for parameter in learner.parameters())
    configuration = configuration | {"zero_optimization": {"stage": stage, **buffers(weights)}}
    universal = bool(resume and stage > 0 and _saved_ranks(resume) != ranks.count)
    if universal:
        configuration = configuration | {"checkpoint": {"load_universal": True}}
    engine, *_ = deepspeed.initialize(
        model=learner,
        optimizer=optimiser,
        config=configuration,
        dist_init_required=False,
    )
    if resume:
        groups = engine.optimizer.param_groups
        settings = [{name: of for name, of in group.items() if name != "params"} for group in groups]
        with reading(resume / "state", checkpoint=resume.parent), _trusted_types_only():
            if universal and ranks.first:
                _to_universal(resume)
            ranks.barrier()
            loaded, _ = engine.load_checkpoint(str(resume), tag="universal" if universal else "state")
            if loaded is None:
                raise FileNotFoundError("a file is missing")
        for group, kept in zip(engine.optimizer.param_groups, settings, strict=True):
            group.update(kept)
        for state in optimiser.state.values():
            state.update({name: of.clone() for name, of in state.items() if name == "step"})
    return engine


def buffers(weights: int) -> dict[str, int]:
    """Numbers that gradients in transit and gathered weights of stage 3 may take: a sixteenth of the network's.

    DeepSpeed's defaults are for billions of weights: a bucket of 2 GB beside a network of any size, and under stage 3
    a smaller network whole on every rank from its first pass on (`benchmarks/zero_memory.py`).
    """
    share = max(LEAST_SHARE, weights // 16)
    defaults = {
        "reduce_bucket_size": 500_000_000,
        "stage3_prefetch_bucket_size": 50_000_000,
        "stage3_max_live_parameters": 1_000_000_000,
        "stage3_max_reuse_distance": 1_000_000_000,
        "stage3_model_persistence_threshold": sys.maxsize,
        "sub_group_size": 1_000_000_000,
    }
    return {name: min(most, share) for name, most in defaults.items()}


def load() -> None:
    """Import DeepSpeed, and let it log errors alone; a deprecated collective that it calls is not the user's to mend.

    Its own shared-memory collective needs a C++ compiler at run time: torch's is taken. Of what it imports, MLflow for
    its autotuner and torch's compiler for its own Muon are not used here and take as long as all the rest: the first
    is not found, the second left out. A start of stage 3 collects garbage, among which no module is looked for.
    """
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    with _not_found("mlflow"), _switched_on("TORCHDYNAMO_DISABLE"):
        from deepspeed.ops import __compatible_ops__ as operations
        from deepspeed.runtime.zero.muon import muon_optimizer  # noqa: F401

    operations["deepspeed_shm_comm"] = False
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _not_found(module: str) -> Iterator[None]:
    """Inside, an import of a module that was not imported before fails."""
    known = module in sys.modules
    if not known:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not known:
            del sys.modules[module]


@contextlib.contextmanager
def _switched_on(variable: str) -> Iterator[None]:
    """Inside, a variable of the environment is 1."""
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        yield
    finally:
        os.environ.pop(variable) if before is None else os.environ.__setitem__(variable, before)


def whole_weights(model: nn.Module, *, partitioned: bool) -> dict[str, Tensor]:
    """All weights on the CPU; of a partitioned (stage 3) model gathered one by one, complete on the first rank."""
    import deepspeed

    weights = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if partitioned:
            with deepspeed.zero.GatheredParameters([tensor]):
                weights[name] = tensor.detach().cpu().clone()
        else:
            weights[name] = tensor.detach().cpu().clone()
    return weights


def gathered_at_once(module: nn.Module) -> None:
    """Let stage 3 gather all weights of a module before its call and release them after it, forwards and backwards.

    By itself it does so layer by layer, for passes forwards and backwards: a derivative of a derivative that is taken
    inside the call finds weights that are gone.
    """
    import deepspeed

    for parameter in module.parameters():
        deepspeed.zero.register_external_parameter(module, parameter)


@contextlib.contextmanager
def whole(learner: nn.Module) -> Iterator[None]:
    """Inside, every rank has all weights of a partitioned (stage 3) learner, and none waits for another's passes.

    For what is read, not learned: gradients that a rank asks for are whole too, and of its own share of a batch. Its
    memory is that of the whole network.
    """
    import deepspeed

    with deepspeed.zero.GatheredParameters(list(learner.parameters())), _unhooked(learner):
        yield


HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


@contextlib.contextmanager
def _unhooked(learner: nn.Module) -> Iterator[None]:
    """Inside, the hooks by which stage 3 gathers the weights of a layer and lets them go do not run."""
    kept = [(module, {name: vars(module)[name] for name in HOOKS}) for module in learner.modules()]
    for module, _ in kept:
        vars(module).update({name: OrderedDict() for name in HOOKS})
    try:
        yield
    finally:
        for module, hooks in kept:
            vars(module).update(hooks)


def forget(learner: nn.Module) -> None:
    """Take a learner out of DeepSpeed's one list of modules whose forward pass under stage 3 has not ended.

    A learner enters it with its engine, and what an error ends inside a pass stays: it would be kept in memory, and be
    taken for the module around the passes of the next engine.
    """
    from deepspeed.runtime.zero import parameter_offload

    own = set(learner.modules())
    running = parameter_offload.FWD_MODULE_STACK
    running[:] = [module for module in running if module not in own]


def running_mean(engine: Any, *, partitioned: bool) -> RunningMean:
    """Running mean of the network's weights; of a partitioned (stage 3) model each rank keeps that of its pieces."""
    return MeanOfPieces(engine) if partitioned else RunningMean(weights_of(engine.module.model))


class MeanOfPieces(RunningMean):
    """A rank's piece of the running mean of every weight."""

    def __init__(self, engine: Any) -> None:
        self.rank = engine.global_rank
        self.whole_everywhere = engine.optimizer.persistent_parameters
        """Small weights, which DeepSpeed keeps whole on every rank."""
        named = dict(engine.module.model.named_parameters())
        super().__init__(lambda: {name: parameter.ds_tensor.detach() for name, parameter in named.items()})

    def exchange(self) -> None:
        small = self.whole_everywhere
        if small:
            small[0].partition(small)
        super().exchange()
        if small:
            small[0].all_gather(small)

    def load(self, whole: Weights) -> None:
        for name, piece in self.mean.items():
            mine = whole[name].flatten()[self.rank * piece.numel() :][: piece.numel()]
            piece[: len(mine)].copy_(mine)


def _saved_ranks(checkpoint: Path) -> int:
    """Ranks that wrote the optimiser's shards."""
    return len(list((checkpoint / "state").glob("*_optim_states.pt")))


def _to_universal(checkpoint: Path) -> None:
    from deepspeed.checkpoint import ds_to_universal

    shutil.rmtree(checkpoint / "universal", ignore_errors=True)
    arguments = argparse.Namespace(
        input_folder=str(checkpoint / "state"),
        output_folder=str(checkpoint / "universal"),
        num_extract_workers=1,
        num_merge_workers=1,
        keep_temp_folder=False,
        strict=True,
        inject_missing_state=True,
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ds_to_universal.main(arguments)


def _stages_are_saved_as_numbers() -> None:
    """Python 3.11.0 to 3.11.3 pickle a member of an enumeration as a call of getattr, which no checkpoint may make."""
    from deepspeed.runtime.zero.config import ZeroStageEnum

    ZeroStageEnum.__reduce_ex__ = lambda member, _protocol: (ZeroStageEnum, (member.value,))


@contextlib.contextmanager
def _trusted_types_only() -> Iterator[None]:
    """Every torch.load inside reads tensors, plain containers and the types of DeepSpeed's checkpoints, no more."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    trusted = [ZeroStageEnum, LossScaler, fragment_address]
    with _switched_on("TORCH_FORCE_WEIGHTS_ONLY_LOAD"), torch.serialization.safe_globals(trusted):
        yield
