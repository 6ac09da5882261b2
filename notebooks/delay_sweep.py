# %% [markdown]
# # Delays and steps: what is stable
#
# A stale gradient points from an old place. With small steps the old place is near the new one, and nothing happens;
# with large steps the iteration overshoots, and with larger ones still it blows up. This notebook finds the boundary
# three times: in the smallest example there is, in the mean update of TD(0), and in A3C with all its noise. Each is
# one call of `simulate`: a batch may mix delays, steps and seeds freely.

# %%
# %matplotlib inline
import dataclasses
from typing import ClassVar

import jax
import matplotlib.pyplot as plt
import numpy as np

import a3cjax
from a3cjax.studies.style import STYLE

plt.rcParams.update({**STYLE, "figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## The smallest example
#
# Gradient descent on ½x² with a constant delay: x ← x − a · (the x of τ updates ago). It is stable if and only if
#
# $$0 < a < 2 \sin\frac{\pi}{2(2\tau + 1)}.$$
#
# Every pixel below is a run: 48 steps for each of nine delays, 432 runs in one call. The colour says how far x is
# from its goal in the end.


# %%
def limit(delay):
    """The largest stable step at curvature 1."""
    return 2 * np.sin(np.pi / (2 * (2 * np.asarray(delay) + 1)))


num_updates = 600
delays = [0, 1, 2, 3, 5, 8, 13, 21, 34]
steps = np.geomspace(0.02, 3, 48)
constant = [a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(delay), num_updates) for delay in delays]
schedules = a3cjax.Schedule.stack([schedule for schedule in constant for _ in steps])
learner = a3cjax.QuadraticSGD(curvature=[1.0], step=np.tile(steps, len(delays)))
keys = jax.random.split(jax.random.key(0), len(delays) * len(steps))
record = a3cjax.Record(every=20, metrics=["distance_sq"])
result = a3cjax.simulate(learner, schedules, keys, record=record, throw=False)  # some runs will overflow
distance_sq = np.asarray(result.metrics["distance_sq"], np.float64).reshape(len(delays), len(steps), -1)
distance_sq = np.where(np.isfinite(distance_sq), distance_sq, np.inf)

# %%
end = 0.5 * np.log10(distance_sq[..., -1].clip(1e-12, 1e12))
figure, ax = plt.subplots(figsize=(7, 3.4))
rows = np.arange(len(delays))
mesh = ax.pcolormesh(steps, rows, end, cmap="RdBu_r", vmin=-6, vmax=6, shading="nearest")
ax.plot(limit(delays), rows, "ko-", markersize=4, linewidth=1, label="limit, calculated")
ax.set(
    xscale="log", xlabel="step a", ylabel="delay τ (updates)", title=f"|x| after {num_updates} updates, from |x| = 1"
)
ax.set_yticks(rows, [str(delay) for delay in delays])
ax.grid(visible=False)
ax.legend(loc="upper right", facecolor="white", frameon=True, framealpha=0.9)
bar = figure.colorbar(mesh, ax=ax, label="|x|", ticks=[-6, -3, 0, 3, 6])
_ = bar.set_ticklabels(["≤ 10⁻⁶", "10⁻³", "1", "10³", "≥ 10⁶"])

# %% [markdown]
# Blue runs went to the goal, red ones blew up, and the calculated limit runs along the white seam between them. To
# compare numbers, call a run unstable if it was farther from the goal in its last third than in the third before.

# %%
middle, last = distance_sq[..., 10:20].max(-1), distance_sq[..., 20:].max(-1)
unstable = (last > middle) | np.isinf(last)
first_unstable = unstable.argmax(1)
assert unstable.any(1).all()
print("delay   limit  largest step that died out  smallest that grew")
for delay, first in zip(delays, first_unstable, strict=True):
    print(f"{delay:5}  {limit(delay):6.4f}  {steps[first - 1]:26.4f}  {steps[first]:18.4f}")
    assert steps[first - 1] < limit(delay) < steps[first]

# %% [markdown]
# For every delay the limit lies between two neighbouring steps of the sweep. For large τ it is about π/(2τ + 1):
# twice the delay, half the step.
#
# ## TD(0) in the mean
#
# The critic of A3C moves on average by β (b + A ω). Without noise this is the same iteration in several dimensions,
# and each eigenvalue λ of −A has its own limit: a real one the limit above with a = β λ, a complex one, which turns,
# the smaller 2 sin((π/2 − |arg λ|)/(2τ + 1)). Any learner can be simulated that has the five methods `init`,
# `init_worker`, `view`, `propose` and `apply`; here is one for the mean of TD(0), on a walk round a ring that mostly
# goes right.


# %%
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MeanTD:
    """The error e = ω − ω* of the mean of TD(0): e ← e + β A · (the e of τ updates ago)."""

    matrix: jax.Array
    start: jax.Array
    step: jax.Array

    num_words: ClassVar = 0  # it draws nothing
    run_scalars: ClassVar = ("step",)  # may differ from run to run

    def init(self, key):
        return self.start

    def init_worker(self, key):
        return ()

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return self.matrix @ view, worker_state

    def apply(self, state, message, delay):
        return state + self.step * message


def eigenvalues(mdp, policy):
    """Those of −A that move: states that the policy never visits have the eigenvalue 0."""
    values = np.linalg.eigvals(-np.asarray(a3cjax.exact.critic_system(mdp, policy)[0], np.float64))
    return values[np.abs(values) > 1e-5]


def td_limit(values, delay):
    """The largest stable critic step: the smallest of the eigenvalues' limits."""
    room = np.pi / 2 - np.abs(np.angle(values))
    return (2 * np.sin(room / (2 * np.asarray(delay)[..., None] + 1)) / np.abs(values)).min(-1)


ring = a3cjax.families.ring(9)
rightwards = np.tile([0.1, 0.9], (9, 1))
values = eigenvalues(ring, rightwards)
print("eigenvalues of −A:", ", ".join(f"{value:.3f}" for value in values[np.argsort(np.abs(values))]))

# %%
num_updates = 4000
td_delays = np.array([0, 1, 2, 4, 8, 16, 32])
relative = np.array([0.9, 0.95, 0.98, 1.02, 1.05, 1.1])  # steps, relative to the calculated limit
steps_of_runs = (td_limit(values, td_delays)[:, None] * relative).ravel()
constant = [a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(d), num_updates) for d in td_delays]
td = MeanTD(
    matrix=a3cjax.exact.critic_system(ring, rightwards)[0],
    start=-a3cjax.exact.critic_optimum(ring, rightwards),  # ω = 0
    step=steps_of_runs,
)
record = a3cjax.Record(every=40, metrics={"error_sq": lambda error: jax.numpy.sum(error**2)})
schedules = a3cjax.Schedule.stack([schedule for schedule in constant for _ in relative])
keys = jax.random.split(jax.random.key(0), steps_of_runs.size)
result = a3cjax.simulate(td, schedules, keys, record=record, throw=False)

error_sq = np.asarray(result.metrics["error_sq"], np.float64).reshape(len(td_delays), len(relative), -1)
middle, last = error_sq[..., 50:75].max(-1), error_sq[..., 75:].max(-1)
grows = (last > middle) | ~np.isfinite(last)
print("delay   limit  grows at " + "  ".join(f"{factor:.0%}" for factor in relative) + " of the limit")
for delay, step, row in zip(td_delays, td_limit(values, td_delays), grows, strict=True):
    print(f"{delay:5}  {step:6.3f}           " + "  ".join("yes" if grown else " no" for grown in row))
assert (grows == (relative > 1)).all()

# %% [markdown]
# Two per cent below the limit every run dies out, two per cent above it every run grows.
#
# ## A3C, with its noise, under three delay laws
#
# Now the whole algorithm on the same ring: the policy changes while it learns, every sample is noisy, and delays are
# constant, uniform or geometric with the same mean. Three laws, seven mean delays, ten steps and three seeds are 630
# runs, and still one call. The actor's step is 0.3 of the critic's. The colour is the share of the gap from the start
# to J* that a run has closed in the end.

# %%
laws = {
    "constant": a3cjax.delays.Constant,
    "uniform": lambda mean: a3cjax.delays.Uniform(0, 2 * mean),
    "geometric": a3cjax.delays.Geometric,
}
mean_delays = [1, 2, 4, 8, 16, 32, 64]
steps, seeds, num_updates = np.geomspace(0.02, 2.56, 10), 3, 5000

schedules = [
    a3cjax.Schedule.from_law(jax.random.key(mean), law(mean), num_updates)
    for law in laws.values()
    for mean in mean_delays
]
cells = len(schedules) * len(steps)
critic_step = np.tile(np.repeat(steps, seeds), len(schedules))
learner = a3cjax.A3C(ring, actor_step=0.3 * critic_step, critic_step=critic_step, radius=30.0)
result = a3cjax.simulate(
    learner,
    a3cjax.Schedule.stack([schedule for schedule in schedules for _ in range(len(steps) * seeds)]),
    jax.random.split(jax.random.key(9), seeds)[np.tile(np.arange(seeds), cells)],
    record=a3cjax.Record(every=250, metrics=["objective", "critic_error_sq"]),
)

uniform = np.full((9, 2), 0.5)
start, best = float(a3cjax.exact.objective(ring, uniform)), float(a3cjax.exact.optimal_objective(ring))
closed = (np.asarray(result.metrics["objective"])[:, -4:].mean(-1) - start) / (best - start)
closed = closed.reshape(len(laws), len(mean_delays), len(steps), seeds).mean(-1)
critic_error = np.asarray(result.metrics["critic_error_sq"])[:, -4:].mean(-1)
critic_error = np.median(critic_error.reshape(len(laws), len(mean_delays), len(steps), seeds), axis=-1)

# %%
limits = {
    "limit, uniform policy": td_limit(eigenvalues(ring, uniform), mean_delays),
    "limit, optimal policy": td_limit(eigenvalues(ring, a3cjax.exact.optimal_policy(ring)), mean_delays),
}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), sharey=True)
rows = np.arange(len(mean_delays))
for ax, name, values in zip(axes, laws, closed, strict=True):
    mesh = ax.pcolormesh(steps, rows, values, cmap="viridis", vmin=0, vmax=1, shading="nearest")
    for (label, at), style in zip(limits.items(), ("--", "-"), strict=True):
        ax.plot(at, rows, color="white", linewidth=2.6)
        ax.plot(at, rows, color="#c05020", linestyle=style, linewidth=1.4, label=label)
    ax.set(xscale="log", xlim=(steps[0] / 1.3, steps[-1] * 1.3), xlabel="critic step β", title=f"{name} delays")
    ax.grid(visible=False)
axes[0].set_ylabel("mean delay (updates)")
axes[0].set_yticks(rows, [str(mean) for mean in mean_delays])
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
_ = figure.colorbar(mesh, ax=axes, label="share of the gap closed")

# %% [markdown]
# Small steps on the left learn slowly; then comes a band that learns nearly everything; then it breaks, and what
# little is gained there is chance. The boundary moves left as delays grow. To put numbers on it, call a cell stable
# if the critic's error in the end, the median of the seeds, is less than ten times the error at the start.

# %%
start_error = float(np.sum(np.square(a3cjax.exact.critic_optimum(ring, uniform))))  # ω = 0
stable = critic_error < 10 * start_error
largest = steps[np.cumprod(stable, axis=-1).sum(-1) - 1]  # with all smaller steps stable too
assert stable[..., 0].all()

print("largest stable step            " + " " * 13 + "calculated limit, constant delay")
print("mean delay  " + "".join(f"{name:>10}" for name in laws) + "   optimal policy  uniform policy")
for j, mean in enumerate(mean_delays):
    uniform_limit, optimal_limit = (limit[j] for limit in limits.values())
    print(f"{mean:10}  " + "".join(f"{step:10.3f}" for step in largest[:, j]), end="")
    print(f"{optimal_limit:17.3f}{uniform_limit:16.3f}")
    assert largest[0, j] < uniform_limit

times = np.exp(np.log(largest[1:] / largest[0]).mean(-1))
print(f"uniform delays bear {times[0]:.1f} times the step of constant ones, geometric delays {times[1]:.1f} times")
assert 1 < times[0] < times[1]

# %% [markdown]
# With constant delays the stable steps end near the limit of the optimal policy, and always below that of the uniform
# one. That is as it should be: a run begins with the uniform policy and ends near the optimal one, which stays near
# the state with the reward, updates it often, and so bears only the smaller step. Delays of the same mean that vary
# from update to update are milder. On average over the rows, uniform delays bear larger steps than constant ones, and
# geometric delays the largest, though their greatest delays are many times the mean: it is not the greatest delay
# that decides.
#
# `QuadraticSGD`, `MeanTD` and `A3C` went through the same `simulate`. For your own problem, put its MDP in the place
# of `ring` and read off how large a step it bears.
