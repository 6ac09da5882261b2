"""A3C in PyTorch on CartPole: processes that share a network and its RMSprop without a lock, recorded.

    python examples/torch_a3c.py out/torch-a3c --workers 2 --seconds 20 [--lock]
    a3cjax log out/torch-a3c

Needs PyTorch. Every worker copies the shared network, plays up to T_MAX steps, and applies its own gradient to it.
"""

import argparse
import contextlib
import math
import random
import time

from a3cjax.recorder import Recorder

try:
    import torch
    import torch.multiprocessing as multiprocessing
    from torch import nn
except ImportError:
    raise SystemExit("This example needs PyTorch; install it with pip install torch.") from None

T_MAX, DISCOUNT, LEARNING_RATE, DECAY, ENTROPY = 20, 0.99, 1e-3, 0.99, 0.01


class CartPole:
    """The pole on a cart of Barto, Sutton and Anderson (1983), with Euler steps of 0.02 s."""

    def reset(self):
        """Begin an episode."""
        self.state, self.steps = [random.uniform(-0.05, 0.05) for _ in range(4)], 0
        return self.state

    def step(self, action):
        """Push left (0) or right (1); return the state, whether the pole fell, and whether the episode is over."""
        _, speed, angle, turning = self.state
        force = 10.0 if action else -10.0
        push = (force + 0.05 * turning**2 * math.sin(angle)) / 1.1
        torque = 9.8 * math.sin(angle) - math.cos(angle) * push
        turning_change = torque / (0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1))
        speed_change = push - 0.05 * turning_change * math.cos(angle) / 1.1
        changes = speed, speed_change, turning, turning_change
        self.state = [value + 0.02 * change for value, change in zip(self.state, changes, strict=True)]
        self.steps += 1
        fell = abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12)
        return self.state, fell, fell or self.steps == 500


class Network(nn.Module):
    """Logits of the two actions, and a value."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 64), nn.Tanh())
        self.logits, self.value = nn.Linear(64, 2), nn.Linear(64, 1)

    def forward(self, state):
        """Of one state or of several."""
        hidden = self.body(torch.as_tensor(state))
        return self.logits(hidden), self.value(hidden).squeeze(-1)


def rollout(network, environment, state):
    """Up to T_MAX steps: the loss, the next state, and whether an episode ended."""
    log_probabilities, values, entropies, rewards, over, fell = [], [], [], [], False, False
    while len(rewards) < T_MAX and not over:
        logits, value = network(state)
        law = torch.distributions.Categorical(logits=logits)
        action = law.sample()
        state, fell, over = environment.step(int(action))
        log_probabilities.append(law.log_prob(action))
        entropies.append(law.entropy())
        values.append(value)
        rewards.append(1.0)
    with torch.no_grad():
        total = 0.0 if fell else float(network(state)[1])
    returns = []
    for reward in reversed(rewards):
        total = reward + DISCOUNT * total
        returns.insert(0, total)
    values = torch.stack(values)
    advantage = torch.tensor(returns) - values
    actor = -(torch.stack(log_probabilities) * advantage.detach()).sum()
    return actor + 0.5 * advantage.square().sum() - ENTROPY * torch.stack(entropies).sum(), state, over


def work(index, shared, squares, count, lock, seconds, folder):
    """One worker, until the time is up."""
    torch.set_num_threads(1)
    torch.manual_seed(index)
    random.seed(index)
    own, environment = Network(), CartPole()
    state, end = environment.reset(), time.monotonic() + seconds
    with Recorder(folder, index) as recorder:
        while time.monotonic() < end:
            with lock:
                recorder.read(int(count))
                own.load_state_dict(shared.state_dict())
            recorder.got()
            own.zero_grad()
            loss, state, over = rollout(own, environment, state)
            loss.backward()
            recorder.ready()
            with torch.no_grad(), lock:
                for theirs, square, mine in zip(shared.parameters(), squares, own.parameters(), strict=True):
                    square.mul_(DECAY).addcmul_(mine.grad, mine.grad, value=1 - DECAY)
                    theirs.addcdiv_(mine.grad, square.sqrt().add_(1e-5), value=-LEARNING_RATE)
                version = int(count)
                count.fill_(version + 1)
                recorder.write(version, length=environment.steps if over else None)
            if over:
                state = environment.reset()


def main(folder, workers=2, seconds=20.0, lock=False):
    """Run the workers; return the number of updates that the counter counted."""
    context = multiprocessing.get_context("spawn")
    shared, count = Network().share_memory(), torch.zeros((), dtype=torch.int64).share_memory_()
    squares = [torch.zeros_like(parameter).share_memory_() for parameter in shared.parameters()]
    guard = context.Lock() if lock else contextlib.nullcontext()
    processes = [
        context.Process(target=work, args=(index, shared, squares, count, guard, seconds, folder))
        for index in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("A worker failed.")
    return int(count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder for the log; a new one for each run")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--lock", action="store_true")
    options = parser.parse_args()
    print(f"{main(options.folder, options.workers, options.seconds, options.lock)} updates by the counter.")
