"""A room to cross."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.known import numpy_if_known
from a3cjax.problems.families._parts import check_size, initial_law
from a3cjax.problems.mdp import FiniteMDP

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


def gridworld(
    height: int,
    width: int,
    *,
    slip: ArrayLike = 0.1,
    discount: ArrayLike = 0.9,
    goal: tuple[int, int] | None = None,
    initial: ArrayLike | Literal["corner", "uniform"] = "corner",
    features: ArrayLike | None = None,
) -> FiniteMDP:
    """A room of ``height`` × ``width`` cells; reward 1 for being at the goal, from where one starts again.

    Cell (row, column) is state ``row * width + column``. Actions 0 to 3 move up, right, down and left; a move into
    a wall stays. With probability ``slip`` the direction is drawn uniformly from the four. Any action at the goal
    (by default the last cell) moves to a state of the initial law, so a walk does not end there. That law is a
    point mass at cell (0, 0) ("corner"), "uniform" over the cells, or an array [S]. Features are tabular (the
    identity, d = S) unless given, [S, d].

    From corner to opposite corner are D = height + width − 2 steps, so without slip J* = (1−γ) γᴰ / (1 − γᴰ⁺¹).

    Raises ValueError for an empty room, a slip outside [0, 1] or a goal outside the room.

    >>> import a3cjax
    >>> mdp = a3cjax.families.gridworld(2, 3, slip=0.0)
    >>> int(mdp.transition[0, 1].argmax()), int(mdp.transition[0, 0].argmax())  # right; up, into the wall
    (1, 0)
    """
    height, width = check.integer("height", height, 1), check.integer("width", width, 1)
    check_size("height * width", height * width, height * width, len(MOVES))
    slip = check.float_array("slip", slip, ())
    check.number("slip", slip, least=0, most=1)
    num_states = height * width
    if isinstance(initial, str):
        check.choice("initial", initial, ("corner", "uniform"))
        initial = np.eye(1, num_states)[0] if initial == "corner" else initial_law(initial, num_states)
    module, slips, start = numpy_if_known(slip, check.float_array("initial", initial, (num_states,)))
    steps = module.asarray(_steps(height, width), slips.dtype)
    transition = (1 - slips) * steps + slips * steps.mean(1, keepdims=True)
    is_goal = np.arange(num_states) == _goal_state(goal, height, width)
    return FiniteMDP(
        transition=module.where(is_goal[:, None, None], start, transition),
        reward=np.tile(is_goal[:, None], len(MOVES)),
        initial=start,
        discount=discount,
        features=np.eye(num_states) if features is None else features,
    )


def _steps(height: int, width: int) -> np.ndarray:
    """Where each move leads, as ones in an [S, 4, S] array of zeros."""
    row, column = np.divmod(np.arange(height * width), width)
    lands = [
        np.clip(row + down, 0, height - 1) * width + np.clip(column + right, 0, width - 1) for down, right in MOVES
    ]
    return np.eye(height * width)[np.stack(lands, axis=1)]


def _goal_state(goal: tuple[int, int] | None, height: int, width: int) -> int:
    if goal is None:
        return height * width - 1
    row, column = goal
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"goal is {goal}, but must be a cell (row, column) of the room of {height} by {width}.")
    return row * width + column
