"""Actor and critic networks, as A3C trains them."""

import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import static
from a3cjax.environments.adopted import adopted, name_of
from a3cjax.environments.finite import Finite
from a3cjax.learners.actor_critic.evaluation import episode_return, objective
from a3cjax.learners.actor_critic.fit import fitted_network
from a3cjax.learners.actor_critic.fresh import FreshMessage, fitted_correction, fresh_gradient, ratios, target_of
from a3cjax.learners.actor_critic.loss import loss
from a3cjax.learners.actor_critic.policies import policy_of
from a3cjax.learners.actor_critic.rollout import Rollout, Worker, rolled_out, started
from a3cjax.learners.corrections import CorrectionName, Decoupled, Gradient
from a3cjax.learners.optimizers import Uses, adopted_optimizer, update_of
from a3cjax.learners.protocol import AbstractLearner


class ActorCriticState(NamedTuple):
    """What the server keeps: the network's parameters, and the optimiser's memory."""

    params: Any
    optimizer: Any


class Message(NamedTuple):
    """What a worker sends: the loss's gradient; ``samples``, the rollout behind it, if it is logged."""

    gradient: Any
    samples: Rollout | None


class ActorCritic(AbstractLearner):
    """Asynchronous advantage actor-critic with networks, Mnih et al. 2016, on any environment.

    From the parameters w that it has read, a worker takes ``rollout`` steps with the policy π_w and sends the gradient
    at w of

        mean_t [ −A_t log π_w(a_t|s_t) + critic_weight (R_t − V_w(s_t))² − entropy · H(π_w(·|s_t)) ]

    with generalised advantages A_t of the TD errors r_t + γ V(s_{t+1}) − V(s_t), and R_t = A_t + V(s_t), neither
    differentiated. ``trace=1`` gives n-step returns, as in A3C. The server takes one step of one optimiser.

    Episodes run on from one rollout to the next, and the learner restarts them: a terminated episode has no value
    ahead, one that is truncated, or that the rollout leaves, has the value of its last observation.

    With ``rollout=1``, ``entropy=0`` and ``optax.sgd(α)`` it is TD(0): critic_weight ½ moves the critic's weights by
    α δ ∇V, and critic_weight β/(2α) by β δ ∇V. On ``environments.Finite(mdp, restart=0)`` with ``networks.Tabular()``
    that is eq. (13) with one chain, ``A3C(shared_chain=True)``.

    Metrics:

    - "episode_return", the mean sum of rewards of ``evaluation_episodes`` episodes of the policy, drawn with a key of
      their own and each followed for ``evaluation_steps`` steps at most;
    - "training_return" and "training_length", of the last episode that each worker has ended, averaged over the workers
      that have ended one (NaN before);
    - on ``Finite`` "objective", the exact J;
    - of an update, as delay metrics: "gradient_norm", the l2 norm of the gradient sent; "entropy", of the policy that
      acted, averaged over the rollout; "gradient_delay_error", the norm of the difference between that gradient and the
      same rollout's at the parameters that it was applied to;
    - with a fresh gradient, instead of the last, "ratio" and "ratio_sq", means of ρ_t and ρ_t² over the rollout.

    Args:
        environment: what is acted in, see ``a3cjax.environments``.
        network: what acts, see ``a3cjax.networks``; anything with ``init(key)`` and ``apply(params, observation)``.
        optimizer: an optax transformation, or a ``jax.tree_util.Partial`` that makes one, whose numbers may be one for
            each run: ``Partial(optax.adam, learning_rate=rates)``. It is handed ``delay``, the parameters that the
            gradient was computed at as ``stale``, and those that it is applied to: see ``a3cjax.remedies``.
        rollout: n, steps of each update.
        discount: γ, a number in [0, 1], or one for each run, [B]. The learner's own, also on an MDP, which has another
            for "objective".
        trace: λ in [0, 1], likewise.
        entropy: weight of the policy's entropy, at least 0, likewise.
        critic_weight: weight of the critic's squared error, at least 0, likewise.
        normalize_advantages: whether A_t are brought to mean 0 and deviation 1 within each rollout, for the actor.
        evaluation_episodes, evaluation_steps: see "episode_return".
        gradient: "stale", as above; "fresh": a worker sends its rollout, and the server takes the gradient at its own
            parameters, so that only the data are stale. See docs/choose/corrections.md.
        correction: for a fresh gradient, "vtrace", "truncated", "masked" or "decoupled" importance weights, see
            ``learners/actor_critic/fresh.py``; None for none.
        clip: C of "truncated", 2 if not given, or ρ̄ of "vtrace", 1; one for each run too, as the next three, and
            ``jnp.inf`` for no bound.
        trace_clip: c̄ of "vtrace", 1.
        mask: (low, high) of "masked", (0.5, 5).
        ratio_clip: ε of "decoupled", 0.2.
        epochs: steps of the optimiser in each update, all on the one rollout; for a fresh gradient only.

    Raises:
        ValueError: if an argument is outside its range, or environment, network and optimiser do not fit each other.

    >>> import a3cjax, jax, optax
    >>> environment = a3cjax.environments.CartPole()
    >>> learner = a3cjax.ActorCritic(environment, a3cjax.networks.MLP(hidden=(16,)), optax.adam(1e-3))
    >>> workers = [a3cjax.compute_times.Exponential(1.0)] * 4
    >>> schedule = a3cjax.Schedule.from_workers(jax.random.key(0), workers, num_updates=20)
    >>> record = a3cjax.Record(every=10, metrics=["training_return"])
    >>> result = a3cjax.simulate(learner, schedule, jax.random.key(1), record=record)
    >>> result.metrics["training_return"].shape, result.params.policy.weight.shape
    ((2,), (16, 2))
    """

    environment: Any
    network: Any
    optimizer: Any
    rollout: int = static()
    discount: Float[Array, "*B"]
    trace: Float[Array, "*B"]
    entropy: Float[Array, "*B"]
    critic_weight: Float[Array, "*B"]
    normalize_advantages: bool = static()
    evaluation_episodes: int = static()
    evaluation_steps: int = static()
    policy: Any
    gradient: Gradient = static()
    correction: Any
    epochs: int = static()
    uses: Uses = static(init=False)

    measures_together = True
    worker_metric_names = ("training_return", "training_length")

    def __init__(
        self,
        environment: Any,
        network: Any,
        optimizer: Any,
        rollout: int = 5,
        discount: ArrayLike = 0.99,
        trace: ArrayLike = 1.0,
        entropy: ArrayLike = 0.01,
        critic_weight: ArrayLike = 0.5,
        normalize_advantages: bool = False,
        evaluation_episodes: int = 8,
        evaluation_steps: int = 1000,
        gradient: Gradient = "stale",
        correction: CorrectionName | None = None,
        clip: ArrayLike | None = None,
        trace_clip: ArrayLike | None = None,
        mask: tuple[ArrayLike, ArrayLike] | None = None,
        ratio_clip: ArrayLike | None = None,
        epochs: int = 1,
    ) -> None:
        put = functools.partial(object.__setattr__, self)
        environment = adopted(environment)
        put("environment", environment)
        put("policy", policy_of(environment))
        put("rollout", check.integer("rollout", rollout, 1))
        bounds = {"discount": (discount, 1), "trace": (trace, 1), "entropy": (entropy, None)}
        for name, (value, most) in (bounds | {"critic_weight": (critic_weight, None)}).items():
            check.number(name, value, least=0, most=most)
            put(name, check.run_scalar(name, value))
        _check_discount(self.discount, environment)
        if not isinstance(normalize_advantages, bool):
            raise ValueError(f"normalize_advantages must be True or False, but is {normalize_advantages!r}.")
        if normalize_advantages and self.rollout == 1:
            raise ValueError(
                "normalize_advantages is True, but the one advantage of a rollout of 1 would become 0; use a longer "
                "rollout."
            )
        put("normalize_advantages", normalize_advantages)
        put("evaluation_episodes", check.integer("evaluation_episodes", evaluation_episodes, 1))
        put("evaluation_steps", check.integer("evaluation_steps", evaluation_steps, 1))
        thresholds = {"clip": clip, "trace_clip": trace_clip, "mask": mask, "ratio_clip": ratio_clip}
        found, epochs = fitted_correction(gradient, correction, thresholds, epochs, self.rollout)
        put("gradient", gradient)
        put("correction", found)
        put("epochs", epochs)
        network, params = fitted_network(network, environment, self.policy)
        put("network", network)
        optimizer, uses = adopted_optimizer(optimizer, params)
        put("optimizer", optimizer)
        put("uses", uses)

    needs_stale: ClassVar[Any] = property(lambda self: self.uses.stale)
    metric_names: ClassVar[Any] = property(
        lambda self: ("episode_return", *(("objective",) if isinstance(self.environment, Finite) else ()))
    )
    delay_metric_names: ClassVar[Any] = property(
        lambda self: (
            "gradient_norm",
            "entropy",
            *(("gradient_delay_error",) if self.gradient == "stale" else ("ratio", "ratio_sq")),
        )
    )
    run_scalars: ClassVar[Any] = property(
        lambda self: (
            "discount", "trace", "entropy", "critic_weight", "optimizer", "correction",
            *(f"environment.{name}" for name in getattr(self.environment, "run_scalars", ())),
        )
    )  # fmt: skip

    def init(self, key: jax.Array) -> ActorCriticState:
        """The network's parameters, drawn for each run, and the optimiser's memory of nothing."""
        params = self.network.init(key)
        return ActorCriticState(params, self.optimizer().init(params))

    def init_worker(self, key: jax.Array) -> Worker:
        """The beginning of an episode."""
        return started(self.environment, key)

    def view(self, state: ActorCriticState) -> Any:
        """The network's parameters."""
        return state.params

    def propose(self, view: Any, worker_state: Worker, key: jax.Array) -> tuple[Any, Worker]:
        """A rollout with the policy of the view, and the gradient at the view unless the server takes it."""
        rollout, worker_state = rolled_out(
            self.environment, self.network, self.policy, view, worker_state, key, self.rollout
        )
        if self.gradient == "fresh":
            return FreshMessage(rollout, rollout), worker_state
        return Message(self._gradient(view, rollout), rollout), worker_state

    def at_hand(self, message: Any, view: Any) -> Message:
        """The message itself, or the gradient at the view that a rollout finds."""
        if isinstance(message, FreshMessage):
            if self.epochs > 1:
                raise ValueError(
                    f"The schedule averages messages, and epochs is {self.epochs}: the steps that an update takes on "
                    "one rollout have no mean; use epochs=1, or a schedule without commit."
                )
            return Message(fresh_gradient(self, view, message.rollout), None)
        return message

    def apply(
        self, state: ActorCriticState, message: Any, delay: Int[Array, ""], stale: Any = None
    ) -> ActorCriticState:
        """One step of the optimiser, or ``epochs``."""
        if not isinstance(message, FreshMessage):
            return self._stepped(state, message.gradient, delay, stale)
        rollout = message.rollout
        target = target_of(self, state.params, rollout) if isinstance(self.correction, Decoupled) else None

        def step(state: ActorCriticState, _: None) -> tuple[ActorCriticState, None]:
            return self._stepped(state, fresh_gradient(self, state.params, rollout, target), delay, stale), None

        return step(state, None)[0] if self.epochs == 1 else lax.scan(step, state, length=self.epochs)[0]

    def measure(self, state: ActorCriticState, names: tuple[str, ...], key: jax.Array) -> dict[str, Float[Array, ""]]:
        """Episodes of the policy as it is, and the exact J of a finite MDP."""
        acting = (self.environment, self.network, self.policy, state.params, key)
        values = {
            "episode_return": lambda: episode_return(*acting, self.evaluation_episodes, self.evaluation_steps),
            "objective": lambda: objective(self.environment, self.network, state.params),
        }
        return {name: values[name]() for name in names}

    def measure_workers(self, workers: Worker, names: tuple[str, ...]) -> dict[str, Float[Array, ""]]:
        """Means over the workers that have ended an episode."""
        some = workers.ended > 0
        values = {"training_return": workers.last.total, "training_length": workers.last.length}
        return {name: jnp.sum(jnp.where(some, values[name], 0)) / some.sum() for name in names}

    def measure_delay(
        self, stale: Any, view: Any, samples: Rollout, names: tuple[str, ...]
    ) -> dict[str, Float[Array, ""]]:
        """Of the gradient that was sent, or taken, and of the same rollout's at what it was applied to."""
        import optax  # here and below, because it takes time to import, and not every learner has an optimiser

        fresh = self.gradient == "fresh"
        sent = fresh_gradient(self, view, samples) if fresh else self._gradient(stale, samples)

        def error():
            return optax.tree.norm(jax.tree.map(jnp.subtract, sent, self._gradient(view, samples)))

        def randomness():
            parameters, _ = jax.vmap(self.network.apply, in_axes=(None, 0))(stale, samples.observation)
            return jax.vmap(self.policy.entropy)(parameters).mean()

        values = {
            "gradient_norm": lambda: optax.tree.norm(sent),
            "entropy": randomness,
            "gradient_delay_error": error,
            "ratio": lambda: ratios(self, view, samples).mean(),
            "ratio_sq": lambda: (ratios(self, view, samples) ** 2).mean(),
        }
        return {name: values[name]() for name in names}

    def _stepped(self, state: ActorCriticState, gradient: Any, delay: Int[Array, ""], stale: Any) -> ActorCriticState:
        import optax

        stale = stale if self.needs_stale else state.params  # which is not looked at
        changes, memory = update_of(self.optimizer())(gradient, state.optimizer, state.params, delay, stale)
        return ActorCriticState(optax.apply_updates(state.params, changes), memory)

    def _gradient(self, params: Any, rollout: Rollout) -> Any:
        weights = (self.discount, self.trace, self.entropy, self.critic_weight)
        return jax.grad(loss)(params, rollout, self.network, self.policy, *weights, self.normalize_advantages)


def _check_discount(discount: Any, environment: Any) -> None:
    """Refuse values without bound."""
    if check.is_concrete(discount) and (discount == 1).any() and getattr(environment, "endless", True):
        raise ValueError(
            f"discount is 1, but an episode of {name_of(environment)} may go on for ever (one that is truncated does, "
            "as far as values are concerned), and its values have no bound; use a discount below 1, or an environment "
            "that says endless = False because every episode is terminated."
        )
