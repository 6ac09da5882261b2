# %% [markdown]
# # Two chains per worker, and the bias of one
#
# A worker of A3C walks two Markov chains. The *critic's* follows the problem for ever. The *actor's* goes on with
# probability γ after each step and otherwise starts again from the initial law η. Why not use one chain for both?
# Because the gradient of J is a mean over states as a discounted walk from η visits them, and a walk that never
# starts again forgets η. This notebook shows the two laws, and what it costs to mix them up.

# %%
# %matplotlib inline
import jax
import matplotlib.pyplot as plt
import numpy as np

import a3cjax
from a3cjax.studies.statistics import mean_interval
from a3cjax.studies.style import PALETTE, STYLE

plt.rcParams.update({**STYLE, "figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## Two laws
#
# Ten states, four actions, tabular features; every run starts in state 0. μ is the long-run law of the states, d the
# law that the gradient needs: d(s) = (1 − γ) Σ γᵗ P(the state after t steps is s). With `transitions=True` a run
# returns every sample that it used. With an actor's step of 0 the policy stays uniform, so both laws are fixed and
# known exactly.

# %%
num_states, num_actions = 10, 4
uniform = np.full((num_states, num_actions), 1 / num_actions)


def problem(discount, initial):
    """The same transitions and rewards, whatever the discount and the initial law."""
    drawn = a3cjax.families.synthetic(jax.random.key(1), num_states, num_actions)
    return a3cjax.FiniteMDP(drawn.transition, drawn.reward, initial, discount, features=np.eye(num_states))


first_state = np.eye(num_states)[0]
mdp = problem(0.6, first_state)
num_updates = 20_000
fixed = a3cjax.A3C(mdp, actor_step=0.0, critic_step=0.1)
walks = a3cjax.simulate(
    fixed,
    a3cjax.Schedule.sequential(num_updates),
    jax.random.key(0),
    record=a3cjax.Record(every=num_updates, metrics=["critic_error_sq"]),
    transitions=True,
)
laws = {
    "critic": (a3cjax.exact.stationary_distribution(mdp, uniform), walks.transitions.critic.state, "μ"),
    "actor": (a3cjax.exact.discounted_visitation(mdp, uniform), walks.transitions.actor.state, "d"),
}

figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True)
for ax, (name, (exact, visited, symbol)), colour in zip(axes, laws.items(), PALETTE, strict=False):
    share = np.bincount(np.asarray(visited), minlength=num_states) / num_updates
    ax.bar(np.arange(num_states), share, color=colour, alpha=0.5, label="visited")
    ax.plot(exact, "k_", markersize=13, label=f"{symbol}, exact")
    ax.set(title=f"The {name}'s chain", xlabel="state", xticks=range(num_states))
    ax.legend()
    print(f"{name}: half the sum of |visited − {symbol}| is {0.5 * np.abs(share - exact).sum():.4f}")
    assert np.abs(share - exact).max() < 0.02
_ = axes[0].set_ylabel("share of the updates")

# %% [markdown]
# The bars are the states of one run, the black marks the exact laws. The actor's chain comes back to state 0 again
# and again, and so it should: that is where every run starts.
#
# ## The bias
#
# `A3C(shared_chain=True)` gives the actor the critic's sample, so its states follow μ. To see what that does,
# regularise: a prior of weight λ = 0.3 pulls the policy towards uniform. Where the pull and the gradient balance
# depends on how often a state is visited, so the wrong law ends at the wrong place. The place can be calculated:
# follow the exact mean of the actor's direction, with d or with μ, until it is zero.

# %%
prior_weight = 0.3
prior = a3cjax.Prior.uniform(prior_weight, num_states, num_actions)


@jax.jit
def resting_place(mdp, shared):
    """J where the mean of the actor's direction is zero, its states drawn from μ if ``shared``, and else from d."""

    def step(_, theta):
        pi = jax.nn.softmax(theta)
        advantage = a3cjax.exact.action_values(mdp, pi) - a3cjax.exact.state_values(mdp, pi)[:, None]
        mu, d = a3cjax.exact.stationary_distribution(mdp, pi), a3cjax.exact.discounted_visitation(mdp, pi)
        weight = jax.numpy.where(shared, mu, d)
        pull = prior_weight / num_states * (1 / num_actions - pi)
        return theta + 5.0 * (weight[:, None] * pi * advantage + pull)

    theta = jax.lax.fori_loop(0, 2000, step, jax.numpy.zeros((num_states, num_actions)))
    return a3cjax.exact.objective(mdp, jax.nn.softmax(theta))


# %% [markdown]
# Now the runs: sixteen seeds with eight workers, so with delays, for three discounts.

# %%
num_updates = 16_000
workers = [a3cjax.compute_times.Exponential(1.0)] * 8
schedule = a3cjax.Schedule.from_workers(jax.random.key(2), workers, num_updates)
seeds = jax.random.split(jax.random.key(3), 16)
record = a3cjax.Record(every=250, metrics=["objective"])


def objective_curves(mdp, prior, *, shared_chain):
    """J at every record, [seeds, records]."""
    learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.2, prior=prior, shared_chain=shared_chain)
    return np.asarray(a3cjax.simulate(learner, schedule, seeds, record=record).metrics["objective"])


updates = np.arange(250, num_updates + 1, 250)
names = {False: "separate chains", True: "shared chain"}
curves, places = {}, {}
for discount in (0.3, 0.6, 0.9):
    mdp = problem(discount, first_state)
    for shared in names:
        curves[discount, shared] = objective_curves(mdp, prior, shared_chain=shared)
        places[discount, shared] = float(resting_place(mdp, shared))

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 2.9))
for ax, discount in zip(axes, (0.3, 0.6, 0.9), strict=True):
    for (shared, name), colour in zip(names.items(), PALETTE, strict=False):
        values = curves[discount, shared]
        ax.fill_between(updates, *np.quantile(values, (0.1, 0.9), axis=0), color=colour, alpha=0.15, linewidth=0)
        ax.plot(updates, values.mean(0), color=colour, linewidth=1.2, label=name)
        ax.axhline(places[discount, shared], color=colour, linestyle="--", linewidth=1)
    ax.set(title=f"γ = {discount}", xlabel="updates")
axes[0].set_ylabel("J(θ)")
_ = axes[0].legend(loc="lower right")

# %%
print("discount   J separate   J shared   difference, 95 % interval    calculated")
for discount in (0.3, 0.6, 0.9):
    ends = [curves[discount, shared][:, -20:].mean(1) for shared in (False, True)]
    gap = mean_interval(ends[0] - ends[1])
    calculated = places[discount, False] - places[discount, True]
    print(f"{discount:8}{ends[0].mean():13.4f}{ends[1].mean():11.4f}", end="")
    print(f"{gap.value:13.4f}   {gap.low:.4f} to {gap.high:.4f}{calculated:12.4f}")
    assert gap.low - 0.003 < calculated < gap.high + 0.003

# %% [markdown]
# Lines are means over seeds, in bands that hold the middle 80 % of them; dashed lines are the calculated places. With
# γ = 0.3 one shared chain costs a good part of what there is to gain, and no number of further updates would help:
# this is bias, not noise. With γ = 0.9 it is gone, for then a discounted walk goes on so long that d and μ are nearly
# the same. That it turns slightly negative is no mistake: the runs maximise the regularised objective, and J alone
# may come out either way. The differences measured and calculated agree.
#
# ## When there is no bias
#
# It takes three things: γ far from one, an initial law far from μ, and something that keeps the policy from becoming
# deterministic (a prior here; features that are too few would do it too). Take away the second or the third:

# %%
settings = {
    "as above, γ = 0.3": (first_state, 0.3),
    "uniform initial law": (np.full(num_states, 1 / num_states), 0.3),
    "no prior, λ = 0": (first_state, 0.0),
}
print(f"{'setting':22}J separate   J shared   difference, 95 % interval        J*")
differences = []
for name, (initial, weight) in settings.items():
    mdp = problem(0.3, initial)
    prior = a3cjax.Prior.uniform(weight, num_states, num_actions)
    ends = [objective_curves(mdp, prior, shared_chain=shared)[:, -20:].mean(1) for shared in (False, True)]
    gap = mean_interval(ends[0] - ends[1])
    differences.append(gap)
    print(f"{name:20}{ends[0].mean():12.4f}{ends[1].mean():11.4f}{gap.value:13.4f}", end="")
    print(f"   {gap.low:7.4f} to {gap.high:6.4f}{float(a3cjax.exact.optimal_objective(mdp)):10.4f}")
assert all(abs(gap.value) < differences[0].value / 4 for gap in differences[1:])
