"""A3C with TD(0): Algorithm 1 and eq. (13) of arXiv:2012.15511."""

import dataclasses
import functools
import math
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, UInt32
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import static
from a3cjax._xla.arithmetic import inner, minus, moved, scaled
from a3cjax._xla.marks import read_row, reshape, staged
from a3cjax.learners.a3c import fresh
from a3cjax.learners.a3c.critic import moved_along
from a3cjax.learners.a3c.delay_errors import delay_errors
from a3cjax.learners.a3c.estimators import ESTIMATORS, Estimator, Return
from a3cjax.learners.a3c.exact_values import Exact, begins_fast
from a3cjax.learners.a3c.fit import check_problem, check_start, fitted_policy, prior_tables
from a3cjax.learners.a3c.little import updates_of_little_work
from a3cjax.learners.a3c.messages import A3CState, FreshMessage, Message, OptimizedState, Params, Samples
from a3cjax.learners.a3c.proposal import drawn, message_of
from a3cjax.learners.a3c.steps import Step, Way
from a3cjax.learners.corrections import CorrectionName, Gradient
from a3cjax.learners.optimizers import Uses
from a3cjax.learners.protocol import AbstractLearner, check_means, table_row
from a3cjax.learners.sampling import SAMPLERS, sampler_of
from a3cjax.learners.sampling.samples import Transition
from a3cjax.problems import LQR, FiniteMDP, Prior, exact

Sampling = Literal["markov", "iid"]


class A3C(AbstractLearner):
    """One global step k of asynchronous advantage actor-critic, eq. (13):

        ω_{k+1} = Π_R( ω_k + β_k g(x_k, ω_{k−τ_k}) )
        θ_{k+1} = θ_k + α_k ( δ̂(x̂_k, ω_{k−τ_k}) ψ_{θ_{k−τ_k}}(ŝ_k, â_k) + λ ψ_{θ_{k−τ_k}}(x^p_k) )

    with δ̂(x, ω) = r + γ φ(s')ᵀω − φ(s)ᵀω and g = δ̂ φ(s); all actions are drawn with the stale policy. The actor's δ̂ is
    one of four estimators' weights; the others are in ``estimators.py``.

    An action is drawn with one uniform number, of 24 bits in float32 and 32 in float64: what has a probability below
    2⁻²⁴, or 2⁻³², may never be drawn.

    Args:
        mdp: the problem, a ``FiniteMDP`` or an ``LQR``.
        actor_step: α, a number, one per run [B], or a function of the update count (an optax schedule).
        critic_step: β, likewise. ``simulate`` refuses a function that is negative or not finite at any update of the
            schedule; inside your own ``jit``, if it closes over something traced, nobody can look.
        radius: R_ω, the l2 ball that ω is projected on; None for no projection. ``exact.critic_optimum`` shows how
            large ω* is.
        policy: a policy, or its class if that needs the sizes only; by default ``TabularSoftmax``, and on an LQR
            ``LinearGaussian``.
        prior: the KL regulariser λR, or None.
        sampling: "markov" (option 2: two chains per worker) or "iid" (option 1: s ~ μ, ŝ ~ d of the policy that was
            read; ``learner.sampler.total_variation`` bounds its error).
        minibatch: M, samples of each kind per update, all from one read.
        theta, omega: the start; zeros (the uniform policy) if not given.
        estimator: what weights ψ_θ(ŝ,â): "td" δ̂; "advantage" Q̂_ω(ŝ,â) − V̂_ω(ŝ); "q" Q̂_ω(ŝ,â); "reinforce" the
            discounted return of a rollout that begins with the actor's transition.
        baseline: B, shape [S]: B(ŝ) is subtracted from the weight, which leaves its mean direction alone.
        horizon: T, the rewards in a return; without it the least T with γᵀ ≤ 2⁻²⁴. ``truncation_bias`` bounds what is
            cut off. For "reinforce" only.
        shared_chain: if True the actor uses the critic's sample, x̂ = x, and owns no chain. Its states then follow μ
            and not d, which biases the direction: an ablation.
        actor_optimizer: in place of ``actor_step``, an optax transformation, or a ``jax.tree_util.Partial`` that makes
            one, whose numbers may be one for each run. Its gradient is the negative direction of θ, and its changes are
            added, as in optax: ``optax.sgd(α)`` makes eq. (13). It is handed ``delay``, θ_{k−τ_k} as ``stale`` and θ_k,
            see ``a3cjax.remedies``. One that only multiplies the gradient by a number costs no more than a step; any
            other sees θ-shaped arrays at every update.
        critic_optimizer: likewise in place of ``critic_step``, before the projection.
        gradient: "stale", as above; "fresh": a worker sends its samples, and the server computes all of the update at
            its own θ_k and ω_k, so that only the data are stale. See docs/choose/corrections.md.
        correction: for a fresh gradient, what each sample is weighted with, made of ρ = π_{θ_k}(a|s)/π_{θ_{k−τ_k}}(a|s)
            of its own action: None 1, "truncated" min(ρ, C), "vtrace" min(ρ̄, ρ), "masked" ρ inside an interval and 0
            outside. They correct the law of the action, and not that of the state. The prior's pull needs none.
        clip, mask: C or ρ̄, if not given 2 or 1, ``jnp.inf`` for none; (low, high), (0.5, 5). Each one for each run too.

    Raises:
        ValueError: if an argument does not fit the MDP, lies outside its range or would have no effect.

    Warns:
        UserWarning: if the chain under the start policy leaves states that it visits for ever, as it does where a goal
            absorbs: μ has no mass there, so the critic never learns their values.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=10)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=lambda k: 0.1 / (1 + k) ** 0.4, radius=20.0)
    >>> result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(100), jax.random.key(1))
    >>> result.params.theta.shape, result.params.omega.shape
    ((10, 5), (10,))
    """

    mdp: Any  # a FiniteMDP or an LQR
    actor_step: Any
    critic_step: Any
    radius: Float[Array, "*B"] | None
    policy: Any
    prior: Prior | None
    sampling: Sampling = static()
    minibatch: int = static()
    theta: Float[Array, "*theta"]
    omega: Float[Array, " d"]
    estimator: Estimator = static()
    baseline: Float[Array, " S"] | None
    horizon: int | None = static()
    shared_chain: bool = static()
    actor_optimizer: Any
    critic_optimizer: Any
    uses: tuple[Uses, Uses] = static(init=False)
    gradient: Gradient = static()
    correction: Any
    sampler: Any = dataclasses.field(init=False)
    gradient_estimator: Any = dataclasses.field(init=False)
    prior_tables: tuple[UInt32[Array, "S 2"], UInt32[Array, "SA 2"]] | None = dataclasses.field(init=False)

    metric_names = Exact.metric_names
    run_scalars = (
        "actor_step", "critic_step", "radius", "prior.weight", "actor_optimizer", "critic_optimizer", "correction",
    )  # fmt: skip

    def __init__(
        self,
        mdp: FiniteMDP | LQR,
        actor_step: Step | None = None,
        critic_step: Step | None = None,
        radius: ArrayLike | None = None,
        policy: Any = None,
        prior: Prior | None = None,
        sampling: Sampling = "markov",
        minibatch: int = 1,
        theta: ArrayLike | None = None,
        omega: ArrayLike | None = None,
        estimator: Estimator = "td",
        baseline: ArrayLike | None = None,
        horizon: int | None = None,
        shared_chain: bool = False,
        actor_optimizer: Any = None,
        critic_optimizer: Any = None,
        gradient: Gradient = "stale",
        correction: CorrectionName | None = None,
        clip: ArrayLike | None = None,
        mask: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        put = functools.partial(object.__setattr__, self)
        check_problem(mdp)
        put("mdp", mdp)
        check.number("radius", 1 if radius is None else radius, above=0)
        put("radius", None if radius is None else check.run_scalar("radius", radius))
        check.choice("sampling", sampling, tuple(SAMPLERS))
        put("sampling", sampling)
        put("minibatch", check.integer("minibatch", minibatch, 1))
        policy = fitted_policy(mdp, policy)
        put("policy", policy)
        if not isinstance(prior, Prior | None):
            raise ValueError(f"prior must be an a3cjax.Prior, but is {prior!r}.")
        put("prior", prior)
        put("prior_tables", None if prior is None else prior_tables(mdp, prior))
        put("theta", check.float_array("theta", np.zeros(policy.shape) if theta is None else theta, policy.shape))
        d = mdp.num_features
        put("omega", check.float_array("omega", np.zeros(d) if omega is None else omega, (d,)))
        actor = Way.of("actor", actor_step, actor_optimizer, self.theta)
        critic = Way.of("critic", critic_step, critic_optimizer, self.omega)
        for name, way in (("actor", actor), ("critic", critic)):
            put(f"{name}_step", way.step)
            put(f"{name}_optimizer", way.optimizer)
        put("uses", (actor.uses, critic.uses))
        if not isinstance(shared_chain, bool):
            raise ValueError(f"shared_chain must be True or False, but is {shared_chain!r}.")
        put("shared_chain", shared_chain)
        put(
            "correction", fresh.fitted_correction(gradient, correction, {"clip": clip, "mask": mask}, policy, estimator)
        )
        put("gradient", gradient)
        put("sampler", sampler_of(sampling, mdp, shared_chain))
        check.choice("estimator", estimator, tuple(ESTIMATORS))
        if horizon is not None and estimator != "reinforce":
            raise ValueError(f"horizon is {horizon!r}, but estimator {estimator!r} makes no rollout; leave it out.")
        put("estimator", estimator)
        put("horizon", horizon)
        for_tables = {"prior": prior is not None, "baseline": baseline is not None, "estimator": estimator != "td"}
        check_start(mdp, policy, self.theta, for_tables, on_policy=estimator != "reinforce" or shared_chain)
        put("gradient_estimator", ESTIMATORS[estimator].of(mdp, horizon))
        put("baseline", None if baseline is None else check.float_array("baseline", baseline, (policy.num_states,)))

    num_words: ClassVar[Any] = property(lambda self: self.minibatch * self._words_per_sample)
    delay_metric_names: ClassVar[Any] = property(lambda self: fresh.DELAY_METRICS_OF[self.gradient])

    @property
    def _words_per_sample(self) -> int:
        return self.sampler.num_words + (0 if self.prior is None else 2) + self.gradient_estimator.num_words

    @property
    def truncation_bias(self) -> Float[Array, ""]:
        """γᵀ r_max/(1−γ), a bound on the mean of what a return of T rewards leaves out; zero without returns.

        The norm of the direction's bias is at most this times max ‖ψ‖, which is √2 for a tabular softmax.
        """
        if not isinstance(self.gradient_estimator, Return):
            return jnp.zeros(())
        return self.gradient_estimator.truncation_bias(self.mdp)

    little_work: ClassVar[Any] = property(lambda self: updates_of_little_work(self) if type(self) is A3C else 0)
    quickly_measured: ClassVar[Any] = property(lambda self: type(self) is A3C and begins_fast(self))

    needs_stale: ClassVar[Any] = property(
        lambda self: self._needs_theta or (self.gradient == "fresh" and any(one.stale for one in self.uses))
    )

    @property
    def _needs_theta(self) -> bool:
        """Whether an optimiser looks at more of a stale θ than one row."""
        return self.uses[0].stale and not self._ways[0].in_one_row(self._one_row)

    @property
    def _one_row(self) -> bool:
        """Whether the actor's direction is one row of a table."""
        return self.minibatch == 1 and self.prior is None and hasattr(self.policy, "only_row")

    @property
    def _ways(self) -> tuple[Way, Way]:
        """The actor's and the critic's."""
        return (
            Way(self.actor_step, self.actor_optimizer, self.uses[0]),
            Way(self.critic_step, self.critic_optimizer, self.uses[1]),
        )

    def init(self, key: jax.Array) -> A3CState | OptimizedState:
        """The start, the same for every run."""
        del key
        actor, critic = self._ways
        return self._state(self.theta, self.omega, jnp.int32(0), (actor.start(self.theta), critic.start(self.omega)))

    def init_worker(self, key: jax.Array) -> Any:
        """What the sampler keeps for one worker."""
        return self.sampler.init(key)

    def view(self, state: Any) -> Params:
        """θ and ω."""
        return Params(state.theta, state.omega)

    def propose(self, view: Params, worker_state: Any, key: UInt32[Array, " num_words"]) -> tuple[Any, Any]:
        """Sample with the policy of the view, and make the message of eq. (13) from it, unless the server does that."""
        if self.minibatch == 1:
            message, worker_state = self._sample(view, worker_state, key)
            one_of_each = jax.tree.map(lambda leaf: reshape(leaf, (1, *leaf.shape)), message._replace(samples=None))
            message = one_of_each._replace(samples=message.samples)
        else:
            words = key.reshape(self.minibatch, self._words_per_sample)

            def one(chains, own_words):
                message, chains = self._sample(view, chains, own_words)
                return chains, message

            worker_state, message = lax.scan(one, worker_state, words)
        if isinstance(message, FreshMessage):
            return message, worker_state
        message = message._replace(direction=self.policy.merge(message.direction))
        return message if self._needs_theta else message._replace(stale=self._seen(view, message)), worker_state

    def _seen(self, view: Params, message: Message) -> tuple[Any, ...]:
        """What the optimisers look at of the view, where that is less than all of it."""
        actor, critic = self.uses
        if not actor.stale and not critic.stale:
            return ()
        row = table_row(view.theta, self.policy.only_row(message.direction)[0]) if actor.stale else None
        return row, jnp.asarray(view.omega) if critic.stale else None

    def at_hand(self, message: Message | FreshMessage, view: Params) -> Message:
        """The message itself, or what samples make of it at the view that they find."""
        return fresh.message_at(self, message, view) if isinstance(message, FreshMessage) else message

    def apply(self, state: Any, message: Any, delay: Int[Array, ""], stale: Params | None = None) -> Any:
        """Eq. (13) with the steps of the current update count, or one step of each optimiser."""
        message = self.at_hand(message, self.view(state))
        if stale is not None and not self._needs_theta:
            message, stale = message._replace(stale=self._seen(stale, message)), None

        def ascend_theta(theta, step):
            return self.policy.ascend(theta, message.direction, step)

        def ascend_omega(omega, step):
            return moved_along(omega, self.mdp, message.critic_state, message.critic_delta, step)

        only = self.policy.only_row(message.direction) if self._ways[0].in_one_row(self._one_row) else None
        return self._moved(state, ascend_theta, ascend_omega, delay, message.stale if stale is None else stale, only)

    def gather(self, sums: Params | None, message: Message, delay: Int[Array, ""], stale: None = None) -> Params:
        """The sums of the messages' directions, θ-shaped and ω-shaped, with one more message."""
        del delay, stale
        if sums is None:
            sums = Params(jnp.zeros(self.policy.shape), jnp.zeros(self.mdp.num_features))
        theta = self.policy.ascend(sums.theta, message.direction, jnp.ones((), sums.theta.dtype))
        return Params(theta, moved_along(sums.omega, self.mdp, message.critic_state, message.critic_delta))

    def apply_mean(self, state: Any, mean: Params, delay: Int[Array, ""]) -> Any:
        """Eq. (13) with g and the actor's direction averaged over several messages; one projection."""
        check_means(self, any(one.stale for one in self.uses))

        def along(direction):
            return lambda params, step: moved(params, step, direction)

        return self._moved(state, along(mean.theta), along(mean.omega), delay, ())

    def changed_rows(self, message: Message | FreshMessage) -> tuple[Any, None]:
        """The rows of θ that a message changes, if the policy updates a few rows of a table, and the optimiser too."""
        if not self._ways[0].keeps_rows(self._one_row):
            return (None, None)
        if isinstance(message, FreshMessage):
            return (fresh.changed_rows(self, message), None)
        return (self.policy.changed_rows(message.direction), None)

    def measurer(self) -> Exact:
        """What the metrics depend on: neither on the sampling nor on the steps."""
        return Exact(self.mdp, self.policy, self.prior)

    def measure(self, state: Any, names: tuple[str, ...], key: jax.Array | None = None) -> dict[str, Float[Array, ""]]:
        """Exact values at the current parameters, see ``Exact``."""
        return self.measurer().measure(state, names, key)

    def optimum(self, metric: str) -> float:
        """J*, solved for, where the metric is ``objective``."""
        return float(exact.best_objective(self.mdp, self.policy)) if metric == "objective" else math.nan

    def measure_delay(
        self, stale: Params, view: Params, samples: Samples, names: tuple[str, ...]
    ) -> dict[str, Float[Array, ""]]:
        """What the delay adds to g and v of eq. (13), the same samples at two versions; see ``delay_errors.py``."""

        def weight(x, at, returned):
            return self.above_baseline(self.weight_of(x, at, None) if returned is None else returned, x)

        if self.minibatch == 1:
            samples = jax.tree.map(lambda leaf: leaf[None], samples)
        if self.gradient == "fresh":
            return fresh.ratios(self, stale, view, samples, names)
        return delay_errors(self.mdp, self.policy, weight, stale, view, samples, names)

    def _moved(
        self, state: Any, ascend_theta: Any, ascend_omega: Any, delay: Int[Array, ""], stale: Any, only: Any = None
    ) -> Any:
        """The state after an update along two directions, each a function of what is moved and of the step."""
        actor, critic = self._ways
        memories = state.optimizers if isinstance(state, OptimizedState) else ((), ())
        stale_theta, stale_omega = stale or (None, None)
        theta, of_actor = actor(state.theta, memories[0], ascend_theta, state.updates, delay, stale_theta, only)
        omega, of_critic = critic(state.omega, memories[1], ascend_omega, state.updates, delay, stale_omega)
        return self._state(theta, self._project(omega), state.updates + 1, (of_actor, of_critic))

    def _state(self, theta: Any, omega: Any, updates: Any, memories: tuple[Any, Any]) -> A3CState | OptimizedState:
        if self.actor_optimizer is None and self.critic_optimizer is None:
            return A3CState(theta, omega, updates)
        return OptimizedState(theta, omega, updates, memories)

    def _sample(self, view: Params, kept: Any, words: UInt32[Array, " n"]) -> tuple[Any, Any]:
        """The part of a message that is of one sample of each kind."""
        if self.gradient == "fresh":
            return fresh.sampled(self, view, kept, words)
        draw, prior, kept = drawn(self, view, kept, words)
        weight = self.weight_of(draw.actor, view, words)
        samples = Samples(draw.critic, draw.actor, prior, weight if self.estimator == "reinforce" else None)
        return message_of(self, view, draw, prior, weight)._replace(samples=samples), kept

    def weight_of(self, x: Transition, view: Params, words: UInt32[Array, " n"] | None) -> Float[Array, ""]:
        """What the estimator makes of the actor's sample, with the last words of the proposal if it needs any."""
        count = self.gradient_estimator.num_words
        rollout_words = words[-count:] if count and words is not None else None
        return self.gradient_estimator.weight(self.mdp, self.sampler.dynamics, self.policy, view, x, rollout_words)

    def above_baseline(self, weight: Float[Array, ""], x: Transition) -> Float[Array, ""]:
        """The weight less B(ŝ)."""
        if self.baseline is None:
            return weight
        return minus(weight, read_row(self.baseline, x.state))

    def _project(self, omega: Float[Array, " d"]) -> Float[Array, " d"]:
        if self.radius is None:
            return omega
        return scaled(omega, _onto_ball(omega, self.radius))


@staged
def _onto_ball(omega: Float[Array, " d"], radius: Float[Array, ""]) -> Float[Array, ""]:
    """What ω is multiplied by to be projected."""
    norm_sq = inner(omega, omega)
    return jnp.where(norm_sq > radius**2, radius / jnp.sqrt(norm_sq), 1)
