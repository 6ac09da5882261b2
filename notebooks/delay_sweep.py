# %% [markdown]
# # Delays and steps: what is stable
#
# A stale gradient points from an old place. With small steps the old place is near the new one, and nothing happens;
# with large steps the iteration overshoots, and with larger ones still it blows up. This notebook finds the boundary
# three times: in the smallest example there is, in the mean update of TD(0), and in A3C with all its noise. Each is
# one call of `simulate`: a batch may mix delays, steps and seeds freely.

# %%
# %matplotlib inline
import jax
import matplotlib.pyplot as plt
import numpy as np

import a3cjax
from a3cjax.studies.frame.axes import STYLE

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
ax.plot(a3cjax.studies.stability_limit(1.0, delays), rows, "ko-", markersize=4, linewidth=1, label="limit, calculated")
ax.set(
    xscale="log", xlabel="step a", ylabel="delay τ (updates)", title=f"|x| after {num_updates} updates, from |x| = 1"
)
ax.set_yticks(rows, [str(delay) for delay in delays])
ax.grid(visible=False)
ax.legend(loc="upper right", facecolor="white", frameon=True, framealpha=0.9)
bar = figure.colorbar(mesh, ax=ax, label="|x|", ticks=[-6, -3, 0, 3, 6])
_ = bar.set_ticklabels(["≤ 10⁻⁶", "10⁻³", "1", "10³", "≥ 10⁶"])

# %% [markdown]
# Blue runs went to the goal, red ones blew up, and the calculated limit runs along the pale seam between them. For
# large τ it is about π/(2τ + 1): twice the delay, half the step.
#
# ## TD(0) in the mean
#
# The critic of A3C moves on average by β (b + A ω). Without noise this is the same iteration in several dimensions,
# and each eigenvalue λ of −A has a limit of its own: β |λ| < 2 sin((π/2 − |arg λ|)/(2τ + 1)), which for a real λ is
# the limit above. The smallest of them counts. The study `critical_step` finds, for each delay, where runs begin to
# grow, and sets it beside this number; once for the example above, once for the critic of `A3C` where it has no
# noise, and for the mean of TD(0) on two problems, the first of which is a walk round a ring that mostly goes right.

# %%
ring = a3cjax.families.ring(9)
rightwards = np.tile([0.1, 0.9], (9, 1))
critical = a3cjax.studies.critical_step(ring, rightwards, delays=(0, 2, 8, 32), resolution=0.02)
print(critical.table())
assert all(abs(row.measured / row.closed_form - 1) < 0.02 for row in critical.rows)

# %%
critical.figure()

# %% [markdown]
# Left, the steps at which runs begin to grow, with the calculated lines; right, the ratio of the two. Measured and
# calculated agree as closely as the steps were spaced.
#
# ## A3C, with its noise, under three delay laws
#
# Now the whole algorithm on the same ring: the policy changes while it learns, every sample is noisy, and delays are
# constant, uniform or geometric with the same mean. The study `sweep` makes a batch of three laws, seven mean delays,
# ten factors for both steps and three seeds: 630 runs in one call. A run has *diverged* if in the end the critic is
# more than ten times as far from its goal, in square, as it was at the start.

# %%
learner = a3cjax.A3C(ring, actor_step=0.006, critic_step=0.02, radius=30.0)
sweep = a3cjax.studies.sweep(
    learner,
    laws=("constant", "uniform", "geometric"),
    delays=(1, 2, 4, 8, 16, 32, 64),
    factors=np.geomspace(1, 128, 10),
    seeds=3,
    num_updates=5000,
)
print(sweep.summary())

# %%
sweep.figure()

# %% [markdown]
# Above, how good the policy is in the end: small steps, at the bottom, learn slowly, then comes a band that learns
# nearly everything, and then it breaks. Below, the share of runs that diverged. The line is the calculated limit for
# constant delays and the uniform policy, with which every run begins. A run ends near the optimal policy, and that
# has another limit.

# %%
optimal = a3cjax.studies.critic_eigenvalues(ring, a3cjax.exact.optimal_policy(ring))
stable = {(row.law, row.delay): row.stable_up_to * 0.02 for row in sweep.delays}
laws, delays = sweep.curves.law.values, sweep.curves.delay.values
print("largest stable critic step" + " " * 20 + "limit for constant delays")
print("mean delay" + "".join(f"{law:>11}" for law in laws) + "  optimal policy")
for delay in delays:
    cells = "".join(f"{stable[law, delay]:11.3f}" for law in laws)
    print(f"{delay:10}{cells}{a3cjax.studies.stability_limit(optimal, delay):16.3f}")

ratio = {law: np.exp(np.mean([np.log(stable[law, d] / stable["constant", d]) for d in delays])) for law in laws}
print(f"compared with constant delays, uniform ones bear {ratio['uniform']:.1f} times the step", end=", ")
print(f"geometric ones {ratio['geometric']:.1f} times")
assert 1 < ratio["uniform"] < ratio["geometric"]

# %% [markdown]
# With constant delays the stable steps end near the limit of the optimal policy. That policy stays near the state
# with the reward, updates it often, and so bears only the smaller step. Delays of the same mean that vary from update
# to update are milder. On average over the rows, uniform delays bear larger steps than constant ones, and geometric
# delays the largest, though their greatest delays are many times the mean: it is not the greatest delay that decides.
#
# For your own problem, put its MDP in the place of `ring` and read off how large a step it bears.
