"""Asynchronous processes that train a network on CartPole in torch, as A3C is usually written there: Hogwild.

The learner is ``numpy_network``'s, which is ``a3cjax.ActorCritic``'s, on the same environment, and the derivatives are
torch's. Parameters and Adam's memory are shared, and nobody takes a lock. It needs torch, on which the project does not
depend: ``pip install torch``, in an environment of its own if that should stay as it is.
"""

import multiprocessing
import resource
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks.numpy_network import CRITIC_WEIGHT, DISCOUNT, ENTROPY, ROLLOUT, STEP, Network, cart_pole
from benchmarks.real_workers import Shared, end_with_parent, run_processes


def cpu_seconds_per_update(num_workers: int, num_updates: int, hidden: int = 64) -> float:
    """Processor time of all workers together, their systems' included, from when all are ready, over the updates."""
    size = Network(hidden).params.size
    shared = Shared(
        params=((size,), np.float32), mean=((size,), np.float32), square=((size,), np.float32),
        steps=((8,), np.float32), counts=((num_workers,), np.int64), seconds=((num_workers,), np.float64),
    )  # fmt: skip
    Network(hidden, shared.arrays()["params"]).draw(np.random.default_rng(0))
    barrier = multiprocessing.get_context("spawn").Barrier(num_workers)
    run_processes(_work, [(index, num_updates, hidden, shared, barrier) for index in range(num_workers)])
    arrays = shared.arrays()
    return float(arrays["seconds"].sum()) / int(arrays["counts"].sum())


class ActorCritic(nn.Module):
    """4 – h – h – (2 and 1); its parameters are views of ``params`` if these are given, laid out as in NumPy."""

    def __init__(self, hidden: int, params: np.ndarray | None = None) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, hidden), nn.Linear(hidden, hidden)
        self.logits, self.value = nn.Linear(hidden, 2), nn.Linear(hidden, 1)
        if params is not None:
            for parameter, leaf in zip(self.parameters(), Network(hidden, params).leaves, strict=True):
                parameter.data = torch.from_numpy(leaf.T)

    def forward(self, x: Any) -> tuple[Any, Any]:
        """Logits and value."""
        trunk = torch.tanh(self.two(torch.tanh(self.one(x))))
        return self.logits(trunk), self.value(trunk).squeeze(-1)


def loss_of(
    outputs: Sequence[Any], action: Sequence[int], reward: Any, ahead: Any, ends: Any, beyond: Sequence[float]
) -> Any:
    """That of ``ActorCritic`` on a rollout, from the network's outputs step by step.

    ``ahead`` and ``ends`` as in ``numpy_network``; ``beyond`` are the values of what was seen then, looked at where an
    episode or the rollout ends.
    """
    logits, values = (torch.stack(column) for column in zip(*outputs, strict=True))
    returns, later = [0.0] * len(action), 0.0
    for t in reversed(range(len(action))):
        last = ends[t] or t == len(action) - 1
        later = reward[t] + DISCOUNT * (ahead[t] * beyond[t] if last else later)
        returns[t] = float(later)
    error = torch.tensor(returns) - values
    logs = torch.log_softmax(logits, -1)
    taken = logs.gather(-1, torch.tensor(action)[:, None])[:, 0]
    randomness = -(logs.exp() * logs).sum(-1)
    return (-error.detach() * taken + CRITIC_WEIGHT * error**2 - ENTROPY * randomness).mean()


def _work(index: int, num_updates: int, hidden: int, shared: Shared, barrier: Any) -> None:
    """One worker: read, act, differentiate, write, until the updates are made."""
    end_with_parent()
    torch.set_num_threads(1)
    torch.manual_seed(index)
    arrays = shared.arrays()
    ours, own = ActorCritic(hidden, arrays["params"]), ActorCritic(hidden)
    optimizer = _adam(ours, hidden, arrays)
    player = _Player(np.random.default_rng([1, index]))
    barrier.wait()
    began = _cpu_seconds()
    while arrays["counts"].sum() < num_updates:
        own.load_state_dict(ours.state_dict())
        own.zero_grad()
        loss_of(*player.rollout(own)).backward()
        for mine, theirs in zip(own.parameters(), ours.parameters(), strict=True):
            theirs.grad = mine.grad
        optimizer.step()
        arrays["counts"][index] += 1  # of its own, for a common count loses some without a lock
    arrays["seconds"][index] = _cpu_seconds() - began


class _Player:
    """A worker in its environment, which it restarts where an episode ends."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._restart()

    def rollout(self, network: Any) -> tuple[Any, ...]:
        """``ROLLOUT`` steps: what ``loss_of`` takes."""
        columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
        for t in range(ROLLOUT):
            output = network(torch.from_numpy(self._state))
            action = int(torch.softmax(output[0].detach(), -1).multinomial(1))
            reached, fallen = cart_pole(self._state, action)
            self._steps += 1
            over = fallen or self._steps == 500
            beyond = 0.0
            if not fallen and (over or t == ROLLOUT - 1):
                with torch.no_grad():
                    beyond = float(network(torch.from_numpy(reached))[1])
            for column, value in zip(columns, (output, action, 1.0, 0.0 if fallen else 1.0, over, beyond), strict=True):
                column.append(value)
            self._state = reached
            if over:
                self._restart()
        return columns

    def _restart(self) -> None:
        self._state, self._steps = self._rng.uniform(-0.05, 0.05, 4).astype(np.float32), 0


def _adam(network: Any, hidden: int, arrays: dict[str, np.ndarray]) -> Any:
    """torch's own, with its memory where all processes find it."""
    optimizer = torch.optim.Adam(network.parameters(), lr=STEP)
    mean, square = (Network(hidden, arrays[name]).leaves for name in ("mean", "square"))
    steps = torch.from_numpy(arrays["steps"])
    for i, parameter in enumerate(network.parameters()):
        memory = {"exp_avg": torch.from_numpy(mean[i].T), "exp_avg_sq": torch.from_numpy(square[i].T)}
        optimizer.state[parameter] = {"step": steps[i], **memory}
    return optimizer


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
