"""Ranks that are killed: their cell fails where nobody tries it again, and the others are trained."""

from pathlib import Path
from typing import Any

import pytest

from precisionflow import stages
from precisionflow.config import Experiment, parse
from precisionflow.results.failures import failure_of
from precisionflow.results.layout import cell_folder
from precisionflow.training import launch
from tests.command_line import TINY

CAUSE = "rank 1 was killed by signal 9 (SIGKILL), perhaps out of memory"


@pytest.mark.parametrize("keeps", [True, False])
def test_a_lost_rank_is_a_failed_cell_where_nobody_tries_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keeps: bool
) -> None:
    experiment, out = parse(TINY + "engine: {kind: deepspeed, ranks: 2}\nseeds: [0, 1]\n"), tmp_path / "out"
    stages.prepare([experiment], out=tmp_path / "data")
    launched = list[int]()

    def die_with_the_second_seed(_: Experiment, **__: Any) -> None:
        launched.append(len(launched))
        if len(launched) == 1:
            (out / ".seed-1-split-0.partial" / "content").mkdir(parents=True)
            (out / ".seed-1-split-0.partial" / "lock").touch()
            raise launch.LostRankError(1, 9)

    monkeypatch.setattr(launch, "launch", die_with_the_second_seed)
    given: dict[str, Any] = {"data": tmp_path / "data", "out": out, "keep_failures": True}
    if not keeps:
        with pytest.raises(launch.LostRankError, match="rank 1 was killed by SIGKILL; run again"):
            stages.train(experiment, **given)
        assert not cell_folder(out, 1, 0).exists()
        return
    stages.train(experiment, keep_lost=True, **given)
    assert len(launched) == 2
    failure = failure_of(cell_folder(out, 1, 0))
    assert failure is not None
    assert (failure.seed, failure.cause) == (1, CAUSE)
