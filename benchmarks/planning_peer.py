"""pymdp (`inferactively-pymdp`), run by its own Python: MODEL.npz in, posteriors over policies and episodes/s out.

Started by `planning.py --peer PYTHON`; imports nothing of this package.
"""

import sys
import time

import jax
import numpy as np
from jax import numpy as jnp
from jax import random
from pymdp.agent import Agent

jax.config.update("jax_enable_x64", True)


def agent_of(model: dict, *, batch: int) -> Agent:
    """One agent for each episode; sums of every step's expected free energy, as `policies.Flat`."""
    modalities, factors = int(model["modalities"]), int(model["factors"])
    return Agent(
        A=[jnp.array(model[f"A{i}"]) for i in range(modalities)],
        B=[jnp.array(model[f"B{i}"]) for i in range(factors)],
        C=[jnp.array(model[f"C{i}"]) for i in range(modalities)],
        D=[jnp.array(model[f"D{i}"]) for i in range(factors)],
        policy_len=int(model["horizon"]),
        gamma=float(model["precision"]),
        action_selection="stochastic",
        sampling_mode="full",
        batch_size=batch,
    )


def drawn(probability: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """An index for every row."""
    return np.argmax(np.cumsum(probability, axis=1) > uniform[:, None], axis=1)


def programs(agent: Agent) -> tuple:
    """Beliefs, policies, actions and the next prior, each compiled; an agent has no hash, so that it is closed over."""
    return (
        jax.jit(lambda seen, prior: agent.infer_states(seen, prior)),
        jax.jit(lambda beliefs: agent.infer_policies(beliefs)),
        jax.jit(lambda posterior, key: agent.sample_action(posterior, key)),
        jax.jit(lambda action, beliefs: agent.update_empirical_prior(action, beliefs)),
    )


def play(agent: Agent, compiled: tuple, model: dict, *, batch: int, seed: int) -> float:
    """Mean reward of a batch of episodes in the world that the agent believes in."""
    infer, plan, act, follow = compiled
    chance, key = np.random.default_rng(seed), random.PRNGKey(seed)
    factors, modalities = int(model["factors"]), int(model["modalities"])
    state = [drawn(np.tile(model[f"D{f}"], (batch, 1)), chance.random(batch)) for f in range(factors)]
    prior, reward = agent.D, np.zeros(batch)
    for step in range(int(model["steps"]) + 1):
        seen = [
            drawn(np.moveaxis(model[f"A{m}"][(slice(None), *state)], 0, 1), chance.random(batch))
            for m in range(modalities)
        ]
        reward += model["reward"][seen[-1]] * (step > 0)
        if step == int(model["steps"]):
            break
        beliefs = infer([jnp.array(o)[:, None] for o in seen], prior)
        posterior, _ = plan(beliefs)
        key, used = random.split(key)
        action = act(posterior, random.split(used, batch))
        prior = follow(action, beliefs)
        chosen = np.asarray(action)
        state = [
            drawn(model[f"B{f}"][:, state[f], chosen[:, f]].T, chance.random(batch)) for f in range(factors)
        ]
    return float(reward.mean())


def main(source: str, out: str) -> None:
    """Posterior over policies at the prior, episodes per second after compilation, mean reward."""
    model = dict(np.load(source))
    batch = int(model["episodes"])
    one = agent_of(model, batch=1)
    beliefs = [d[:, None] for d in one.D]
    posterior, _ = one.infer_policies(beliefs)
    agent = agent_of(model, batch=batch)
    compiled = programs(agent)
    start = time.process_time()
    play(agent, compiled, model, batch=batch, seed=0)
    first = time.process_time() - start
    times, rewards = [], []
    for seed in range(1, 4):
        start = time.process_time()
        rewards.append(play(agent, compiled, model, batch=batch, seed=seed))
        times.append(time.process_time() - start)
    np.savez(
        out,
        posterior=np.asarray(posterior)[0],
        first=first,
        seconds=np.median(times),
        reward=np.mean(rewards),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
