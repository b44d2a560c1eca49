"""Locks: one holder at a time, and nothing left behind."""

import threading
from pathlib import Path

import pytest

from precisionflow.results.locks import exclusive, held, parents_of, turn


@pytest.mark.parametrize("lock", [exclusive, turn])
def test_a_block_leaves_no_lock_behind_whatever_became_of_its_file(lock, tmp_path: Path):
    name = {exclusive: ".lock", turn: ".turn"}[lock]
    for remove in (False, True):
        with lock(tmp_path):
            assert [path.name for path in tmp_path.iterdir()] == [name]
            if remove:
                (tmp_path / name).unlink()
        assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError), lock(tmp_path):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_second_run_in_a_folder_is_refused(tmp_path: Path):
    with (
        exclusive(tmp_path),
        pytest.raises(ValueError, match="another run is writing here"),
        exclusive(tmp_path),
    ):
        pass
    with exclusive(tmp_path):
        pass


def test_a_turn_waits_for_the_one_before_it(tmp_path: Path):
    order = []

    def second() -> None:
        with turn(tmp_path):
            order.append("second")

    with turn(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.1)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_a_lock_is_not_waited_for_where_that_is_not_wanted(tmp_path: Path):
    with held(tmp_path / "lock"), pytest.raises(BlockingIOError):
        held(tmp_path / "lock", wait=False)
    held(tmp_path / "lock", wait=False).close()


def test_a_folder_that_was_made_for_an_error_goes_and_one_that_was_there_stays(tmp_path: Path):
    for there, left in (("a", {"a"}), ("a/b", {"a", "a/b"})):
        (tmp_path / there).mkdir(exist_ok=True)
        with pytest.raises(KeyboardInterrupt), parents_of(tmp_path / "a" / "b" / "c" / "d"):
            raise KeyboardInterrupt
        assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == left
    with parents_of(tmp_path / "a" / "b" / "c" / "d"):
        pass
    assert (tmp_path / "a" / "b" / "c").is_dir()
