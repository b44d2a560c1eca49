"""Expected free energy: identity on random models, golden T-maze, episodes a second, beside pymdp (--peer PYTHON)."""

import itertools
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from measured import Measured, arguments, present

from precisionflow.inference.planning import policies
from precisionflow.inference.planning.categorical import log_softmax
from precisionflow.inference.planning.expected_free_energy import Objective, decomposition
from precisionflow.inference.planning.model import DiscreteModel
from precisionflow.inference.planning.play import Played, draws_of, play
from precisionflow.inference.planning.worlds.frozen_lake import frozen_lake
from precisionflow.inference.planning.worlds.grid_world import grid_world
from precisionflow.inference.planning.worlds.t_maze import CUE, LEFT, t_maze
from precisionflow.inference.planning.worlds.world import World

MODELS, EPISODES, REPEATS = 2000, 1000, 3
GOLDEN = {"Flat": (4.9141, 4.7156), "JointInformation": (5.4087, 5.4087), "Sophisticated": (2.7087, 5.4087)}
"""G of cue, then arm, and of an arm at once: cue valid 0.95, preferences log softmax [0, 3, -3], two steps."""
HORIZONS = {"t_maze": 2, "frozen_lake": 4, "grid_world": 6}
STEPS = {"t_maze": 2, "frozen_lake": 30, "grid_world": 12}


def worlds() -> dict[str, World]:
    """The worlds of the shipped experiments."""
    return {
        "t_maze": t_maze(validity=0.95, preference=3.0),
        "frozen_lake": frozen_lake(slip=0.2, preference=3.0, concentration=None),
        "grid_world": grid_world(side=3, slip=0.0, validity=0.95, preference=3.0),
    }


def identity() -> float:
    """Largest |risk + ambiguity + pragmatic + epistemic| over random models, the latter two by their definitions."""
    random, worst = np.random.default_rng(0), 0.0
    for _ in range(MODELS):
        states, outcomes = int(random.integers(2, 8)), random.integers(1, 5, size=random.integers(1, 4))
        tables = [random.dirichlet(np.full(n, 0.3), size=states).T for n in outcomes]
        preferred = [np.log(random.dirichlet(np.ones(n))) for n in outcomes]
        model = DiscreteModel(tables, [np.eye(states)[:, :, None]], preferred, [np.full(states, 1 / states)])
        belief, other = random.dirichlet(np.full(states, 0.5)), 0.0
        for outcome in itertools.product(*map(range, outcomes)):
            likelihood = np.prod([t[o] for t, o in zip(tables, outcome, strict=True)], axis=0)
            seen = float(likelihood @ belief)
            if seen > 0:
                after = likelihood * belief / seen
                used = after > 0
                gained = float((after[used] * np.log(after[used] / belief[used])).sum())
                wanted = sum(log[o] for log, o in zip(preferred, outcome, strict=True))
                other += seen * (wanted + gained)
        worst = max(worst, abs(float(sum(decomposition(model.joint, belief))) + other))
    return worst


def golden() -> float:
    """Largest distance from the golden values; the cue's uniform preference costs ln 2 a step."""
    joint, worst = worlds()["t_maze"].model.joint, 0.0
    for name, wanted in GOLDEN.items():
        values = getattr(policies, name)(joint, Objective(), horizon=2).values(joint.prior, 2)
        energies = -values.reshape(4, -1) - 2 * np.log(2)
        found = (energies[CUE].min(), energies[LEFT].min())
        worst = max(worst, *(abs(one - other) for one, other in zip(found, wanted, strict=True)))
    return worst


def optimal_success(world: World, *, steps: int) -> float:
    """Largest probability of a success where the state is seen, by dynamic programming."""
    value = world.won.astype(float)
    for _ in range(steps):
        after = np.einsum("anp,n->ap", world.model.joint.transition, value).max(axis=0)
        value = np.where(world.ends, world.won, after)
    return float(world.model.joint.prior @ value)


def speed(name: str, world: World, kind: type[policies.Planner]) -> tuple[float, float]:
    """(seconds, mean reward) of EPISODES episodes with a new planner."""
    times, rewards = [], []
    for seed in range(REPEATS):
        uniform = draws(name, world, seed)
        start = time.process_time()
        rewards.append(episodes(name, world, kind, uniform).reward.mean())
        times.append(time.process_time() - start)
    return float(np.median(times)), float(np.mean(rewards))


def draws(name: str, world: World, seed: int) -> np.ndarray:
    """The chances of EPISODES episodes."""
    return np.random.default_rng(seed).random((EPISODES, STEPS[name] + 1, draws_of(world.model)))


def episodes(name: str, world: World, kind: type[policies.Planner], uniform: np.ndarray) -> Played:
    """Episodes with a new planner."""
    planner = kind(world.believed.joint, Objective(), horizon=HORIZONS[name])
    return play(world, world.believed, planner, uniform)


def afraid_of_holes(world: World) -> list[Measured]:
    """How frozen lake ends where a hole is preferred as little as it ships, and as much as ice."""
    cells, _ = world.believed.log_preference
    alike = replace(world.believed, log_preference=(cells, log_softmax(np.array([0.0, 3.0, 0.0]))))
    uniform = [draws("frozen_lake", world, seed) for seed in range(REPEATS)]
    results = []
    for said, believed in (("", world.believed), (", holes preferred as ice", alike)):
        for kind in (policies.Sophisticated, policies.Variational):
            lake = replace(world, believed=believed)
            found = [episodes("frozen_lake", lake, kind, one) for one in uniform]
            late = [(one.steps == STEPS["frozen_lake"]) & ~one.won for one in found]
            name = f"frozen_lake: {kind.__name__}{said}"
            success = float(np.mean([one.won for one in found]))
            results.append(Measured(f"{name}, success", success, "1"))
            results.append(Measured(f"{name}, on the ice at the end", float(np.mean(late)), "1"))
    return results


def beside_pymdp(peer: Path, *, name: str, world: World) -> list[Measured]:
    """pymdp on the same model: both add every step's G of the predicted states, each modality by itself."""
    model, horizon = world.model, HORIZONS[name]
    tables = {f"A{i}": table for i, table in enumerate(model.likelihood)}
    tables |= {f"B{i}": table for i, table in enumerate(model.transition)}
    tables |= {f"C{i}": table for i, table in enumerate(model.log_preference)}
    tables |= {f"D{i}": table for i, table in enumerate(model.prior)}
    sizes = {"modalities": len(model.likelihood), "factors": len(model.prior), "horizon": horizon}
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder, "model.npz"), Path(folder, "out.npz")
        settings = {
            "precision": np.array(16.0),
            "episodes": np.array(EPISODES),
            "steps": np.array(STEPS[name]),
            "reward": np.asarray(world.reward),
        }
        np.savez(given, allow_pickle=False, **tables, **sizes, **settings)
        subprocess.run([peer, Path(__file__).with_name("planning_peer.py"), given, out], check=True)
        found = dict(np.load(out))
    planner = policies.Flat(model.joint, Objective(), horizon=horizon)
    apart = np.abs(planner.posterior(model.joint.prior, horizon) - found["posterior"]).max()
    seconds, reward = speed(name, world, policies.Flat)
    return [
        Measured(
            f"{name}: posterior over policies, largest difference from pymdp", float(apart), "1", bar=1e-6
        ),
        Measured(f"{name}: episodes, flat", EPISODES / seconds, "1/s"),
        Measured(f"{name}: episodes, pymdp compiled", EPISODES / float(found["seconds"]), "1/s"),
        Measured(f"{name}: first batch with compilation, pymdp", float(found["first"]), "s"),
        Measured(f"{name}: reward, flat", reward, "1"),
        Measured(f"{name}: reward, pymdp", float(found["reward"]), "1"),
        Measured(f"{name}: time over pymdp's", seconds / float(found["seconds"]), "1", bar=1.0),
    ]


def single(world: World) -> World:
    """The same with one modality, the cell, and no early end: pymdp sums information over modalities."""
    model, cells = world.model, np.eye(len(world.won))
    assert model.log_state_preference is not None
    plain = DiscreteModel((cells,), model.transition, (model.log_state_preference,), model.prior)
    return World(plain, plain, world.won.astype(float), world.won, np.zeros_like(world.ends))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--peer", type=Path, metavar="PYTHON", help="a Python with inferactively-pymdp 1.0.4")
    given = parser.parse_args()
    results = [
        Measured(f"EFE identity over {MODELS:,} random models", float(identity()), "nats", bar=1e-12),
        Measured("golden T-maze, largest distance", float(golden()), "nats", bar=5e-5),
    ]
    lake = optimal_success(worlds()["frozen_lake"], steps=STEPS["frozen_lake"])
    results.append(Measured("frozen_lake: optimal success", lake, "1"))
    for name, world in worlds().items():
        for kind in (policies.Sophisticated, policies.JointInformation, policies.Variational):
            seconds, reward = speed(name, world, kind)
            results.append(Measured(f"{name}: episodes, {kind.__name__}", EPISODES / seconds, "1/s"))
            results.append(Measured(f"{name}: reward, {kind.__name__}", reward, "1"))
    results += afraid_of_holes(worlds()["frozen_lake"])
    if given.peer:
        results += beside_pymdp(given.peer, name="t_maze", world=worlds()["t_maze"])
        results += beside_pymdp(given.peer, name="frozen_lake", world=single(worlds()["frozen_lake"]))
    present(results, given.json)


if __name__ == "__main__":
    main()
