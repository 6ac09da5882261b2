"""Delayed stochastic gradient descent on a quadratic: the smallest learner, with a closed-form stability limit."""

import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import static
from a3cjax._xla.marks import rounded
from a3cjax.learners.optimizers import Uses, adopted_optimizer, one_of_both, stepped
from a3cjax.learners.protocol import AbstractLearner


class QuadraticState(NamedTuple):
    """Server state: the iterate."""

    x: Float[Array, " n"]


class OptimizedState(NamedTuple):
    """With an optimiser: its memory too."""

    x: Float[Array, " n"]
    optimizer: Any


class QuadraticSGD(AbstractLearner):
    """x_{k+1} = x_k − step·(h ⊙ x_{k−τ_k} + noise·ξ_k), gradient descent on f(x) = ½ Σ_j h_j x_j², ξ_k standard normal.

    With a constant delay τ and no noise each coordinate is stable if and only if
    0 < step·h_j < 2 sin(π / (2(2τ+1))), so this learner tests the engine's delays against a number.

    Args:
        curvature: h, shape [n], positive.
        step: step size, a positive number (or [B], one per run).
        optimizer: in place of a step, an optax transformation, or a ``jax.tree_util.Partial`` that makes one; it is
            handed ``delay``, x_{k−τ_k} as ``stale``, and x_k: see ``a3cjax.remedies``.
        noise: standard deviation of the gradient noise, at least 0 (or [B]).
        start: x_0, shape [n]; ones if not given.

    Raises:
        ValueError: if an argument is outside its range, or step and optimizer are both given or both left out.

    >>> import a3cjax, jax
    >>> learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.5)
    >>> result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(3), jax.random.key(0))
    >>> float(result.params.x[0])  # (1 − ½)³
    0.125
    """

    curvature: Float[Array, " n"]
    step: Float[Array, "*B"] | None
    noise: Float[Array, "*B"]
    start: Float[Array, " n"]
    optimizer: Any = None
    uses: Uses = static(default=Uses(), init=False)

    metric_names = ("objective", "distance_sq")
    delay_metric_names = ("delay_error_sq",)
    run_scalars = ("step", "noise", "optimizer")
    needs_stale: ClassVar[Any] = property(lambda self: self.uses.stale)

    def __init__(
        self,
        curvature: ArrayLike,
        step: ArrayLike | None = None,
        noise: ArrayLike = 0.0,
        start: ArrayLike | None = None,
        optimizer: Any = None,
    ) -> None:
        check.number("curvature", curvature, above=0)
        one_of_both("step", step, "optimizer", optimizer)
        check.number("step", 1 if step is None else step, above=0)
        check.number("noise", noise, least=0)
        put = functools.partial(object.__setattr__, self)
        put("curvature", check.float_array("curvature", curvature, (None,)))
        put("step", None if step is None else check.run_scalar("step", step))
        put("noise", check.run_scalar("noise", noise))
        start = jnp.ones_like(self.curvature) if start is None else start
        put("start", check.float_array("start", start, self.curvature.shape))
        given = (None, Uses()) if optimizer is None else adopted_optimizer(optimizer, self.start, of="the quadratic's")
        put("optimizer", given[0])
        put("uses", given[1])

    def init(self, key: jax.Array) -> QuadraticState | OptimizedState:
        """The iterate before the first update."""
        del key
        if self.optimizer is None:
            return QuadraticState(self.start)
        return OptimizedState(self.start, self.optimizer().init(self.start))

    def init_worker(self, key: jax.Array) -> tuple[()]:
        """Workers keep nothing."""
        del key
        return ()

    def view(self, state: Any) -> QuadraticState:
        """A worker copies the iterate."""
        return QuadraticState(state.x)

    def propose(
        self, view: QuadraticState, worker_state: tuple[()], key: jax.Array
    ) -> tuple[Float[Array, " n"], tuple[()]]:
        """A noisy gradient at the view."""
        x = jnp.asarray(view.x)
        noise = rounded(self.noise * jax.random.normal(key, x.shape, x.dtype))
        return rounded(self.curvature * x) + noise, worker_state

    def apply(
        self, state: Any, message: Float[Array, " n"], delay: Int[Array, ""], stale: QuadraticState | None = None
    ) -> QuadraticState | OptimizedState:
        """One gradient step."""
        if self.step is not None:
            return QuadraticState(state.x - rounded(self.step * message))
        then = None if stale is None else stale.x
        return OptimizedState(*stepped(self.optimizer, message, state.optimizer, state.x, delay, then))

    def measure(self, state: Any, names: tuple[str, ...], key: jax.Array | None = None) -> dict[str, Float[Array, ""]]:
        """f(x) as ``objective`` and ‖x‖² as ``distance_sq``."""
        del key
        values = {"objective": 0.5 * jnp.sum(self.curvature * state.x**2), "distance_sq": jnp.sum(state.x**2)}
        return {name: values[name] for name in names}

    def measure_delay(
        self, stale: QuadraticState, view: QuadraticState, samples: None, names: tuple[str, ...]
    ) -> dict[str, Float[Array, ""]]:
        """‖h ⊙ (x_{k−τ} − x_k)‖² as ``delay_error_sq``: the noise, which is that of the same sample, cancels."""
        del samples
        values = {"delay_error_sq": jnp.sum((self.curvature * (stale.x - view.x)) ** 2)}
        return {name: values[name] for name in names}
