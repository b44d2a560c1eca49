"""Kernels of scores, whose gradients of numbers are sums: interpreted, and when they are taken."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from precisionflow.config import attention as config
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.lowerings import Score, summed
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.priors.absolute import Absolute
from precisionflow.models.attention.priors.geometric import Geometric
from precisionflow.models.attention.priors.relative import Relative
from precisionflow.models.attention.priors.window import Window
from precisionflow.models.attention.sites import Sites

INTERPRETED = Path(__file__).parents[2] / "interpreted_kernels.py"


def test_means_and_gradients_are_those_of_blocks():
    pytest.importorskip("triton")
    run = subprocess.run([sys.executable, INTERPRETED], check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    assert len(found["errors"]) == 14
    assert {name: errors for name, errors in found["errors"].items() if not max(errors) < 1e-5} == {}
    assert found["agreements"] == [[True, False, False, False]] * 2, "sound, mean, gradients, refused"
    assert found["looked"] == [[11, True], [127, False], [17, False]], (
        "each kind of table once, as it is taken"
    )
    assert max(found["parts"]) < 2**-21
    assert found["apart"] == [True, True], "a head among others is what it is alone"
    assert found["lost"] == [list(range(16, 64))] * 4, "what is no number is not taken for the nearest key"


def test_other_scores_priors_and_lengths_are_left_to_flex_attention(monkeypatch):
    h100, a100 = 227 * 2**10, 163 * 2**10
    monkeypatch.setattr(summed, "_room", lambda device: h100 if device.type == "cuda" else 0)
    at = Sites(torch.arange(128), None, range(128))
    window = Window(before=1, after=1).log(at, at)
    later = Sites(at.positions + 1, None, range(1, 129))
    relative, absolute = Relative(heads=1, largest=2), Absolute(heads=1, places=128)
    with FakeTensorMode(allow_non_fake_inputs=True):

        def fits(
            batch=1, rows=128, columns=128, width=64, prior=EVERY_EDGE, form="sum", dtype=torch.bfloat16
        ):
            sides = [
                torch.empty(batch, 1, tokens, width, device="cuda", dtype=dtype) for tokens in (rows, columns)
            ]
            return summed.fits(Score(*sides, (0, 0), (0, 0), torch.add, form), sides[1], prior)

        assert fits()
        assert fits(prior=LogPrior(causal=True))
        assert fits(rows=256)
        assert not fits(rows=256, prior=LogPrior(causal=True))
        assert not fits(batch=2**16)
        assert not fits(rows=130)
        assert not fits(columns=130)
        assert fits(width=128)
        assert not fits(width=48)
        assert not fits(form=None)
        assert not fits(dtype=torch.float16), "its numbers would be out of range"
        torch.use_deterministic_algorithms(mode=True)
        try:
            assert not fits(), "gradients of queries are sums in any order"
        finally:
            torch.use_deterministic_algorithms(mode=False)
        assert not fits(prior=window)
        assert fits(prior=relative.log(at, at))
        assert fits(prior=relative.log(at, at) * absolute.log(at, at) * LogPrior(causal=True))
        assert not fits(prior=relative.log(at, at) * relative.log(at, at))
        assert not fits(prior=relative.log(at, later))
        geometric = Geometric(alpha=1.0, beta=2.0)
        assert fits(prior=geometric.log(at, at))
        assert not fits(prior=geometric.log(at, later))
        assert not fits(prior=replace(geometric.log(at, at), causal=False)), "later keys would be open"
        assert not fits(prior=relative.log(at, at._replace(span=None)))
        assert not fits(prior=LogPrior(absent=torch.ones(1, 128, dtype=torch.bool)))
    for room, widths in ((a100, [16, 32, 64]), (0, [])):
        monkeypatch.setattr(summed, "_room", lambda _, room=room: room)
        with FakeTensorMode(allow_non_fake_inputs=True):
            assert [width for width in (16, 32, 64, 128) if fits(width=width)] == widths


def test_a_gpu_of_amd_is_not_asked_for_what_torch_does_not_tell_of_it(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.version, "hip", "6.4")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: object())
    assert summed._room.__wrapped__(torch.device("cuda", 0)) == 0


def test_a_mixture_of_three_has_no_such_form():
    module = potential(
        config.Attention(potential=config.GaussianMixture(components=3)), QueriesAndKeys(4, heads=1)
    )
    score = module.lowering.score(*module(torch.randn(1, 3, 4), Sites(torch.arange(3))))
    assert score.form is None
