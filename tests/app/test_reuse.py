"""A run that takes trained cells from another results folder."""

from pathlib import Path

from tests.command_line import TINY, Line


def test_cells_of_another_experiment_are_not_trained_again(line: Line, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(TINY, encoding="utf-8")
    second.write_text(TINY.replace("name: tiny", "name: again") + "seeds: [0, 1]\n", encoding="utf-8")
    assert line("run", first, "--out", tmp_path / "a").code == 0
    done = line("run", second, "--out", tmp_path / "b", "--reuse", tmp_path / "a")
    assert done.code == 0, done.err
    assert f"run: copied 1 trained cell from {tmp_path / 'a'}" in done.out
    trained = [row for row in done.out.splitlines() if row.startswith("train again linnerud default seed ")]
    assert [row.split(" seed ")[1][0] for row in trained] == ["1"]
    assert "evaluate again linnerud default seed 0" in done.out
