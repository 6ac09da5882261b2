"""A3C with TD(0): Algorithm 1 and eq. (13) of arXiv:2012.15511."""

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, UInt32
from numpy.typing import ArrayLike

from a3cjax import _check
from a3cjax._kernel import inner, read_row, rounded, stage
from a3cjax._tree import pytree, static
from a3cjax.learners.delay_errors import DELAY_METRICS, delay_errors
from a3cjax.learners.policies import TabularSoftmax
from a3cjax.learners.sampling import SAMPLERS
from a3cjax.learners.sampling.samples import StateAction, Transition
from a3cjax.learners.sampling.words import alias_draw, alias_table, softmax_draw
from a3cjax.problems import FiniteMDP, Prior, exact

Step = ArrayLike | Callable[[Any], Any]
Sampling = Literal["markov", "iid"]

_UNROLLED_FEATURES = 32


class Params(NamedTuple):
    """What a worker copies: the actor's θ and the critic's ω."""

    theta: Float[Array, "*theta"]
    omega: Float[Array, " d"]


class A3CState(NamedTuple):
    """What the server keeps."""

    theta: Float[Array, "*theta"]
    omega: Float[Array, " d"]
    updates: Int[Array, ""]


class Samples(NamedTuple):
    """Every sample that one update used; with minibatch M > 1 each leaf has a leading axis M."""

    critic: Transition
    actor: Transition
    prior: StateAction | None


class Message(NamedTuple):
    """What a worker sends: g as (state, δ̂), and the actor's direction, both means over the mini-batch."""

    critic_state: Int[Array, " M"]
    critic_delta: Float[Array, " M"]
    direction: Any
    samples: Samples | None


@pytree
class A3C:
    """One global step k of asynchronous advantage actor-critic, eq. (13):

        ω_{k+1} = Π_R( ω_k + β_k g(x_k, ω_{k−τ_k}) )
        θ_{k+1} = θ_k + α_k ( δ̂(x̂_k, ω_{k−τ_k}) ψ_{θ_{k−τ_k}}(ŝ_k, â_k) + λ ψ_{θ_{k−τ_k}}(x^p_k) )

    with δ̂(x, ω) = r + γ φ(s')ᵀω − φ(s)ᵀω and g = δ̂ φ(s); all actions are drawn with the stale policy.

    Args:
        mdp: the problem.
        actor_step: α, a number, one per run [B], or a function of the update count (an optax schedule).
        critic_step: β, likewise.
        radius: R_ω, the l2 ball that ω is projected on; None for no projection. ``exact.critic_optimum`` shows how
            large ω* is.
        policy: a policy, or its class if that needs the sizes only.
        prior: the KL regulariser λR, or None.
        sampling: "markov" (option 2: two chains per worker) or "iid" (option 1: s ~ μ, ŝ ~ d of the policy that was
            read; ``learner.sampler.total_variation`` bounds its error).
        minibatch: M, samples of each kind per update, all from one read.
        theta, omega: the start; zeros (the uniform policy) if not given.

    Raises:
        ValueError: if an argument does not fit the MDP or lies outside its range.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=10)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=lambda k: 0.1 / (1 + k) ** 0.4, radius=20.0)
    >>> result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(100), jax.random.key(1))
    >>> result.params.theta.shape, result.params.omega.shape
    ((10, 5), (10,))
    """

    mdp: FiniteMDP
    actor_step: Any
    critic_step: Any
    radius: Float[Array, "*B"] | None
    policy: Any
    prior: Prior | None
    sampling: Sampling = static()
    minibatch: int = static()
    theta: Float[Array, "*theta"]
    omega: Float[Array, " d"]
    sampler: Any = dataclasses.field(init=False)
    prior_tables: tuple[UInt32[Array, "S 2"], UInt32[Array, "SA 2"]] | None = dataclasses.field(init=False)

    metric_names = ("objective", "gradient_norm_sq", "critic_error_sq", "regularized_objective")
    delay_metric_names = DELAY_METRICS
    run_scalars = ("actor_step", "critic_step", "radius", "prior.weight")

    def __init__(
        self,
        mdp: FiniteMDP,
        actor_step: Step,
        critic_step: Step,
        radius: ArrayLike | None = None,
        policy: Any = TabularSoftmax,
        prior: Prior | None = None,
        sampling: Sampling = "markov",
        minibatch: int = 1,
        theta: ArrayLike | None = None,
        omega: ArrayLike | None = None,
    ) -> None:
        put = functools.partial(object.__setattr__, self)
        if not isinstance(mdp, FiniteMDP):
            raise ValueError(f"mdp must be an a3cjax.FiniteMDP, but is a {type(mdp).__name__}.")
        put("mdp", mdp)
        put("actor_step", _step("actor_step", actor_step))
        put("critic_step", _step("critic_step", critic_step))
        _check.number("radius", 1 if radius is None else radius, above=0)
        put("radius", None if radius is None else _check.run_scalar("radius", radius))
        _check.choice("sampling", sampling, tuple(SAMPLERS))
        put("sampling", sampling)
        put("minibatch", _check.integer("minibatch", minibatch, 1))
        policy = policy(mdp.num_states, mdp.num_actions) if isinstance(policy, type) else policy
        if not hasattr(policy, "probabilities"):
            raise ValueError(f"policy must be a policy such as a3cjax.policies.TabularSoftmax, but is {policy!r}.")
        _check_sizes("policy", policy.num_states, policy.num_actions, mdp)
        put("policy", policy)
        if not isinstance(prior, Prior | None):
            raise ValueError(f"prior must be an a3cjax.Prior, but is {prior!r}.")
        put("prior", prior)
        put("prior_tables", None)
        if prior is not None:
            num_states, num_actions = prior.policy.shape
            _check_sizes("prior.policy", num_states, num_actions, mdp)
            put("prior_tables", (alias_table(prior.states), alias_table(prior.policy)))
        theta = jnp.zeros(policy.shape) if theta is None else theta
        omega = jnp.zeros(mdp.num_features) if omega is None else omega
        put("theta", _check.float_array("theta", theta, policy.shape))
        put("omega", _check.float_array("omega", omega, (mdp.num_features,)))
        put("sampler", SAMPLERS[sampling].of(mdp))

    @property
    def num_words(self) -> int:
        """Random words of one proposal."""
        return self.minibatch * self._words_per_sample

    @property
    def _words_per_sample(self) -> int:
        return self.sampler.num_words + (0 if self.prior is None else 2)

    def init(self, key: jax.Array) -> A3CState:
        """The start, the same for every run."""
        del key
        return A3CState(self.theta, self.omega, jnp.int32(0))

    def init_worker(self, key: jax.Array) -> Any:
        """What the sampler keeps for one worker."""
        return self.sampler.init(key)

    def view(self, state: A3CState) -> Params:
        """θ and ω."""
        return Params(state.theta, state.omega)

    def propose(self, view: Params, worker_state: Any, key: UInt32[Array, " num_words"]) -> tuple[Message, Any]:
        """Sample with the policy of the view, and make the message of eq. (13) from it."""
        if self.minibatch == 1:
            message, worker_state = self._sample(view, worker_state, key)
            message = jax.tree.map(lambda leaf: leaf[None], message._replace(samples=None))._replace(
                samples=message.samples
            )
        else:
            words = key.reshape(self.minibatch, self._words_per_sample)

            def one(chains, own_words):
                message, chains = self._sample(view, chains, own_words)
                return chains, message

            worker_state, message = lax.scan(one, worker_state, words)
        return message._replace(direction=self.policy.merge(message.direction)), worker_state

    def apply(self, state: A3CState, message: Message, delay: Int[Array, ""]) -> A3CState:
        """Eq. (13) with the steps of the current update count."""
        del delay
        actor_step, critic_step = _at(self.actor_step, state.updates), _at(self.critic_step, state.updates)
        theta = self.policy.ascend(state.theta, message.direction, actor_step)
        omega = state.omega
        for m in range(self.minibatch):
            change = critic_step * message.critic_delta[m]
            omega = stage(_moved, omega, change, self._features(message.critic_state[m]))
        return A3CState(theta, self._project(omega), state.updates + 1)

    def changed_rows(self, message: Message) -> tuple[Any, None]:
        """The rows of θ that a message changes, if the policy updates a few rows of a table."""
        return (self.policy.changed_rows(message.direction), None)

    def measure(self, state: A3CState, names: tuple[str, ...]) -> dict[str, Float[Array, ""]]:
        """Exact values at the current parameters.

        ``objective`` J(θ); ``regularized_objective`` J_λ(θ); ``gradient_norm_sq`` ‖∇J_λ(θ)‖²; ``critic_error_sq``
        ‖ω − ω*(θ)‖².
        """
        at = exact.evaluate(self.mdp, self.policy.probabilities(state.theta), self.prior)
        values = {
            "objective": lambda: at.objective,
            "regularized_objective": lambda: at.regularized_objective,
            "gradient_norm_sq": lambda: jnp.sum(at.policy_gradient(self.policy, state.theta) ** 2),
            "critic_error_sq": lambda: jnp.sum((state.omega - at.critic_optimum) ** 2),
        }
        return {name: values[name]() for name in names}

    def measure_delay(
        self, stale: Params, view: Params, samples: Samples, names: tuple[str, ...]
    ) -> dict[str, Float[Array, ""]]:
        """What the delay adds to g and v of eq. (13), the same samples at two versions; see ``delay_errors.py``."""
        return delay_errors(self.mdp, self.policy, stale, view, samples, names)

    def _sample(self, view: Params, kept: Any, words: UInt32[Array, " n"]) -> tuple[Message, Any]:
        draw, kept = self.sampler.sample(self.policy, view.theta, kept, words)
        critic_delta = self._td_error(draw.critic, view.omega) / self.minibatch
        actor_delta = self._td_error(draw.actor, view.omega) / self.minibatch
        direction = self.policy.score(draw.actor.state, draw.actor.action, draw.actor_probabilities, actor_delta)
        prior_sample = None
        if self.prior is not None and self.prior_tables is not None:
            states, actions = self.prior_tables
            state = alias_draw(states, 0, self.mdp.num_states, words[self.sampler.num_words])
            action = alias_draw(actions, state, self.mdp.num_actions, words[self.sampler.num_words + 1])
            prior_sample = StateAction(state, action)
            _, probabilities = softmax_draw(self.policy.logits(view.theta, state), words[0])
            pull = self.policy.score(state, action, probabilities, self.prior.weight / self.minibatch)
            direction = self.policy.merge(jax.tree.map(lambda *both: jnp.stack(both), direction, pull))
        samples = Samples(draw.critic, draw.actor, prior_sample)
        return Message(draw.critic.state, critic_delta, direction, samples), kept

    def _td_error(self, x: Transition, omega: Float[Array, " d"]) -> Float[Array, ""]:
        reward = self.mdp.reward_at(x.state, x.action, x.next_state)
        values = self._features(x.next_state), self._features(x.state), omega
        return stage(operator.add, reward, stage(_value_change, self.mdp.discount, *values))

    def _features(self, state: Int[Array, ""]) -> Float[Array, " d"]:
        return stage(read_row, self.mdp.features, state)

    def _project(self, omega: Float[Array, " d"]) -> Float[Array, " d"]:
        if self.radius is None:
            return omega
        scale = stage(_onto_ball, omega, self.radius)
        return stage(operator.mul, omega, scale)


def _onto_ball(omega: Float[Array, " d"], radius: Float[Array, ""]) -> Float[Array, ""]:
    """What ω is multiplied by to be projected."""
    norm_sq = _inner(omega, omega)
    return jnp.where(norm_sq > radius**2, radius / jnp.sqrt(norm_sq), 1)


def _moved(omega: Float[Array, " d"], change: Float[Array, ""], phi: Float[Array, " d"]) -> Float[Array, " d"]:
    return omega + rounded(change * phi)


def _value_change(
    discount: Float[Array, ""], ahead: Float[Array, " d"], here: Float[Array, " d"], omega: Float[Array, " d"]
) -> Float[Array, ""]:
    """γ φ(s')ᵀω − φ(s)ᵀω."""
    return rounded(discount * _inner(ahead, omega)) - _inner(here, omega)


def _inner(x: Float[Array, " d"], y: Float[Array, " d"]) -> Float[Array, ""]:
    """xᵀy, written out for few features: a reduction over a short last axis does not vectorise over runs."""
    products = rounded(x * y)
    if x.shape[0] > _UNROLLED_FEATURES:
        return inner(x, y)
    return functools.reduce(operator.add, (products[j] for j in range(x.shape[0])))


def _step(name: str, value: Step) -> Any:
    if callable(value):
        try:
            first = jnp.asarray(value(jnp.int32(0)))
        except Exception as error:
            raise ValueError(
                f"{name} must be a function of the update count, but {name}(0) failed: {error}."
            ) from error
        if first.shape != ():
            raise ValueError(f"{name}(0) has shape {first.shape}; a step schedule must give one number.")
        _check.number(f"{name}(0)", first, least=0)
        return value if isinstance(value, jax.tree_util.Partial) else jax.tree_util.Partial(value)
    _check.number(name, value, least=0)
    return _check.run_scalar(name, value)


def _at(step: Any, updates: Int[Array, ""]) -> Float[Array, ""]:
    return jnp.asarray(step(updates), jnp.result_type(float)) if callable(step) else step


def _check_sizes(name: str, num_states: int, num_actions: int, mdp: FiniteMDP) -> None:
    if (num_states, num_actions) != (mdp.num_states, mdp.num_actions):
        raise ValueError(
            f"{name} is for {num_states} states and {num_actions} actions, but the MDP has {mdp.num_states} and "
            f"{mdp.num_actions}; build it with the MDP's sizes."
        )
