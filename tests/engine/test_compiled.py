"""The compiled loop: no update copies a history.

XLA copies a buffer whole, at every step, when it cannot tell that a read is not overtaken by a write (and for selects,
rolls and conditionals on buffers). A history is large, so that would cost more than everything else. Here the
program's text is searched for it.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import a3cjax
from a3cjax._xla.lanes import LANES_AT_ONCE
from a3cjax.engine import driver
from a3cjax.learners.a3c import little

RUNS = 16


class Instruction(NamedTuple):
    """One line of a computation: its name, result type, operation and the rest of the line."""

    name: str
    type: str
    operation: str
    rest: str
    root: bool


_HEADER = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_ARRAY = re.compile(r"\b(pred|b?[suf]\d+)\[([\d,]*)\]")
_CALLED = re.compile(r"\b(calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


def computations(text: str) -> dict[str, list[Instruction]]:
    """The program as a dictionary from a computation's name to its instructions."""
    found: dict[str, list[Instruction]] = {}
    inside: list[Instruction] = []
    for line in text.splitlines():
        line = re.sub(r"/\*index=\d+\*/", "", line)
        if header := _HEADER.match(line):
            inside = found[header[1]] = []
        elif instruction := _LINE.match(line):
            root, name, kind, operation, rest = instruction.groups()
            inside.append(Instruction(name, kind, operation, rest, bool(root)))
    return found


def called(instruction: Instruction) -> dict[str, list[str]]:
    """Computations that an instruction names, by the role in which it does."""
    roles: dict[str, list[str]] = {}
    for role, name in _CALLED.findall(instruction.rest):
        roles.setdefault(role, []).append(name)
    for names in _BRANCHES.findall(instruction.rest):
        roles.setdefault("branch", []).extend(name.strip().lstrip("%") for name in names.split(","))
    return roles


def within(program: dict[str, list[Instruction]], name: str) -> Iterator[str]:
    """A computation and everything that it calls, loops and conditionals included."""
    yield name
    for instruction in program[name]:
        for names in called(instruction).values():
            for other in names:
                yield from within(program, other)


def written_out(program: dict[str, list[Instruction]], name: str) -> Iterator[Instruction]:
    """A computation's instructions, those of the computations that it calls, and not loops, in place of the calls."""
    for one in program[name]:
        if one.operation == "call":
            yield from written_out(program, called(one)["to_apply"][0])
        else:
            yield one


def innermost_bodies(program: dict[str, list[Instruction]], least: int) -> list[str]:
    """Bodies of the while loops that carry an array of ``least`` bytes and hold no further such loop, but for loops
    over lanes: those carry nothing that is not in place, and so are searched as part of the body that holds them."""

    def loops(name: str) -> list[Instruction]:
        return [one for one in program[name] if one.operation == "while" and max(sizes(one.type)) >= least]

    def over_lanes(one: Instruction) -> bool:
        return f'"n":"{RUNS // LANES_AT_ONCE}"' in one.rest.replace(" ", "")

    bodies = {called(one)["body"][0] for name in program for one in loops(name) if not over_lanes(one)}
    return [body for body in bodies if all(over_lanes(one) for name in within(program, body) for one in loops(name))]


def sizes(kind: str) -> list[int]:
    """Bytes of each array in a type."""
    width = {"pred": 1, "8": 1, "16": 2, "32": 4, "64": 8}
    found = _ARRAY.findall(kind)
    return [
        width[dtype.lstrip("bfsu")] * int(np.prod([int(n) for n in shape.split(",") if n])) for dtype, shape in found
    ]


IN_PLACE = {"parameter", "get-tuple-element", "tuple", "bitcast", "dynamic-update-slice", "scatter", "while"}


def copies(text: str, least: int, every: bool = False) -> list[str]:
    """Instructions of the innermost loops, or of every loop, that make an array of ``least`` bytes or more other than
    in place.

    A fusion counts as what it ends with: in place if that is an update of a slice or a scatter.
    """
    program = computations(text)
    found: list[str] = []

    def search(name: str) -> None:
        for one in program[name]:
            if max(sizes(one.type), default=0) < least:
                continue
            targets = [other for names in called(one).values() for other in names]
            if one.operation == "fusion":
                targets = [] if all(map(ends_in_place, called(one)["calls"])) else targets
                found.extend(f"{one.name}: fusion of {[root_of(t) for t in targets]}" for _ in targets[:1])
            elif one.operation in ("call", "conditional"):
                for target in targets:
                    search(target)
            elif one.operation not in IN_PLACE:
                found.append(f"{one.name}: {one.operation}")

    def root_of(name: str) -> str:
        return next(one.operation for one in program[name] if one.root)

    def ends_in_place(name: str) -> bool:
        code = {one.name: one for one in program[name]}

        def fine(one: Instruction) -> bool:
            if one.operation in ("tuple", "bitcast"):
                operands = re.findall(r"%([\w.\-]+)", one.rest.split("), ")[0])
                return all(fine(code[operand]) for operand in operands)
            return one.operation in IN_PLACE or max(sizes(one.type), default=0) < least

        return all(fine(one) for one in program[name] if one.root)

    carries = [one for name in program for one in program[name] if one.operation == "while"]
    whole = [called(one)["body"][0] for one in carries if max(sizes(one.type)) >= least]
    for body in whole if every else innermost_bodies(program, least):
        search(body)
    return found


# ------------------------------------------------------------------------------------------- the search can find them


def compiled(body: Any, *start: Any) -> str:
    """The program of a thousand steps inside an outer loop of three."""

    def program(*carry):
        return lax.fori_loop(0, 3, lambda _, c: lax.fori_loop(0, 1000, body, c), carry)

    return jax.jit(program).lower(*start).compile().as_text() or ""


BUFFER, ROW = jnp.zeros((64, 100)), jnp.zeros(100)


def read_then_write(k, carry):
    buffer, row = carry
    past = buffer[(k * 7) % 64]
    return buffer.at[k % 64].set(row), row + past


def write_then_read(k, carry):
    buffer, row = carry
    buffer = buffer.at[k % 64].set(row)
    return buffer, row + buffer[(k * 7) % 64]


def shift(k, carry):
    buffer, row = carry
    return jnp.concatenate([buffer[1:], row[None]]), row + buffer[k % 64]


def select(k, carry):
    buffer, row = carry
    return jnp.where(jnp.arange(64)[:, None] == k % 64, row, buffer), row + buffer[(k * 7) % 64]


def transpose(k, carry):
    buffer, row = carry
    return jnp.sin(buffer).T.reshape(64, 100), row + buffer[k % 64]


@pytest.mark.parametrize("body", [read_then_write, shift, select, transpose])
def test_a_loop_that_copies_is_found(body):
    text = compiled(body, BUFFER, ROW)
    assert len(innermost_bodies(computations(text), BUFFER.nbytes)) == 1
    assert copies(text, BUFFER.nbytes)


def test_a_loop_that_does_not_copy_is_not():
    text = compiled(write_then_read, BUFFER, ROW)
    assert len(innermost_bodies(computations(text), BUFFER.nbytes)) == 1
    assert copies(text, BUFFER.nbytes) == []
    assert copies(text, 4)  # the row itself is made anew at every step


# ----------------------------------------------------------------------------------------------------- the real loops


class _Captured(Exception):
    pass


def program_of(monkeypatch, learner, schedule, metrics=(), **options):
    """What ``simulate`` would compile for 16 runs on one device, and the shapes of the carry that it starts from."""
    programs, captured = driver.programs, []
    monkeypatch.setattr(little, "_SAMPLES", 0)  # as for much work

    def capture(*args):
        captured.extend([programs(args[0].backend).advance.lower(*args), args[2]])
        raise _Captured

    def abstract(backend):
        return driver.Programs(start=programs(backend).start.eval_shape, advance=capture)

    monkeypatch.setattr(driver, "programs", abstract)
    keys = jax.random.split(jax.random.key(0), RUNS)
    record = a3cjax.Record(every=100, metrics=metrics)
    with pytest.raises(_Captured):
        a3cjax.simulate(learner, schedule, keys, record=record, devices=jax.devices()[:1], **options)
    monkeypatch.setattr(driver, "programs", programs)
    return captured


def a3c(**options: Any):
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=20, num_actions=3, num_features=4)
    return a3cjax.A3C(mdp, actor_step=0.3, critic_step=0.4, radius=1.0, **options)


def minibatch():
    """It looks rows of a past version up in a loop."""
    return a3c(minibatch=2)


def quadratic():
    return a3cjax.QuadraticSGD(curvature=np.ones(50), step=0.1, noise=1.0)


def workers(count):
    return a3cjax.Schedule.from_workers(jax.random.key(0), [a3cjax.compute_times.Exponential(1.0)] * count, 300)


GROWN = pytest.mark.parametrize(
    ("make_learner", "history", "small", "large"),
    [
        (a3c, "mailbox", 4, 64),
        (a3c, "ring", 64, 256),
        (quadratic, "mailbox", 4, 64),
        (quadratic, "ring", 64, 256),
    ],
)


@GROWN
def test_no_update_copies_a_history(make_learner, history, small, large, monkeypatch):
    """Of the arrays in the carry those that grow with N or with the depth are the history; the smallest of them sets
    how large a copy must be to count, and parameters and samples of 16 runs stay well below it."""

    def program(size):
        options = {"history": history} | ({"depth": size} if history == "ring" else {})
        return program_of(monkeypatch, make_learner(), workers(size if history == "mailbox" else 4), **options)

    lowered, carry = program(large)
    text = lowered.compile().as_text()
    shapes = zip(jax.tree.leaves(program(small)[1]), jax.tree.leaves(carry), strict=True)
    grown = [leaf for less, leaf in shapes if less.shape != leaf.shape]
    assert grown
    least = min(leaf.size * leaf.dtype.itemsize for leaf in grown)
    assert least > 4 * RUNS * 4
    assert innermost_bodies(computations(text), least)
    assert copies(text, least) == []


@GROWN
def test_no_block_copies_a_history(make_learner, history, small, large, monkeypatch):
    """Nor is it copied on the way in or out: the arrays that a block is called with are overwritten."""
    del small
    options = {"history": history} | ({"depth": large} if history == "ring" else {})
    lowered, carry = program_of(monkeypatch, make_learner(), workers(large if history == "mailbox" else 4), **options)
    text = lowered.compile().as_text()
    histories = [carry.slots] if history == "mailbox" else jax.tree.leaves(carry.past)
    least = max(leaf.size * leaf.dtype.itemsize for leaf in histories)
    entry = re.search(r"^ENTRY %?([\w.\-]+)", text, re.MULTILINE)
    assert entry
    large_ones = [one for one in written_out(computations(text), entry[1]) if max(sizes(one.type), default=0) >= least]
    assert {"parameter", "while"} <= {one.operation for one in large_ones}
    assert [one.name for one in large_ones if one.operation not in IN_PLACE] == []


def test_no_message_copies_a_history_of_versions(monkeypatch):
    """Where messages are averaged a version is stored in a loop of one turn or none, which carries the stores; so every
    loop that carries them is searched, from that over updates inwards. The tables of 16 runs are smaller than a store.
    """
    schedule = a3cjax.Schedule.buffered(jax.random.key(0), [a3cjax.compute_times.Exponential(1.0)] * 4, 100, 3)
    lowered, carry = program_of(monkeypatch, a3c(), schedule, depth=256)
    text = lowered.compile().as_text()
    store = carry.past.stores[1]  # of ω, the smaller
    least = store.size * store.dtype.itemsize
    assert least > 2 * carry.state.theta.size * 4
    assert innermost_bodies(computations(text), least)
    assert copies(text, least, every=True) == []


def test_no_update_of_a_network_copies_its_versions(monkeypatch):
    """The largest leaf of eight versions of 16 runs; every loop that carries it is searched."""
    network = a3cjax.networks.MLP((64, 32))
    learner = a3cjax.ActorCritic(a3cjax.environments.CartPole(), network, optax.sgd(0.1), rollout=1)
    lowered, carry = program_of(monkeypatch, learner, workers(8))
    text = lowered.compile().as_text()
    least = max(store.size * store.dtype.itemsize for store in jax.tree.leaves(carry.past))
    assert least == RUNS * 8 * 64 * 32 * 4
    assert innermost_bodies(computations(text), least)
    assert copies(text, least, every=True) == []


@pytest.mark.parametrize("history", ["mailbox", "ring"])
def test_no_measured_update_copies_a_history(history, monkeypatch):
    """With delay metrics the last update before a record is taken in a loop of its own, which carries the history too:
    every loop that does is searched, those over a mini-batch's rows of the ring among them."""
    mailbox = history == "mailbox"
    options = {"history": history} | ({} if mailbox else {"depth": 256})
    metrics = ("critic_delay_error_sq", "actor_delay_error_sq")
    lowered, carry = program_of(
        monkeypatch, a3c() if mailbox else minibatch(), workers(64 if mailbox else 4), metrics, **options
    )
    text = lowered.compile().as_text()
    store = carry.slots if mailbox else carry.past[1]  # of ω, the smallest of the ring's
    least = store.size * store.dtype.itemsize
    assert least > 2 * carry.state.theta.size * 4
    assert len(innermost_bodies(computations(text), least)) >= 2
    assert copies(text, least, every=True) == []
