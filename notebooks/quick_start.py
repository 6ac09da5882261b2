# %% [markdown]
# # Quick start: what a delay is, and what it does to learning
#
# Many workers train one policy together. Each worker copies the parameters, collects a sample with them, computes a
# gradient and sends it to a server, which applies it. Nobody waits for anybody. So while one worker computes, others
# write, and its gradient is applied to parameters that are newer than those it was computed from. The **delay** of an
# update is how many updates came between.
#
# This notebook draws such delays, trains an actor-critic under them, and measures the result with exact numbers. It
# takes about fifteen seconds.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import a3cjax
from a3cjax.studies.frame.axes import STYLE

plt.rcParams.update({**STYLE, "figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## What a delay is
#
# Three workers need 1, 1.6 and 2.7 units of time for one gradient. Number the updates k = 0, 1, 2, … in the order in
# which they land, and call the parameters after j updates *version j*. Update k is computed from version k − τ, where
# τ is its delay.

# %%
compute_times = [a3cjax.compute_times.Deterministic(mean) for mean in (1.0, 1.6, 2.7)]
small = a3cjax.Schedule.from_workers(jax.random.key(0), compute_times, num_updates=10)

print(" k  worker  lands at  computed from version  delay")
for k in range(len(small)):
    print(f"{k:2}  {small.worker[k]:6}  {small.time[k]:8.1f}  {small.reads[k]:21}  {small.delay[k]:5}")

# %%
figure, ax = plt.subplots(figsize=(8.5, 2.5))
begun = np.zeros(3)  # when each worker last read
for k in range(len(small)):
    worker, lands = small.worker[k], small.time[k]
    colour = plt.get_cmap("viridis_r")(0.1 + 0.22 * small.delay[k])
    ax.barh(worker, lands - begun[worker], left=begun[worker], height=0.6, color=colour, edgecolor="white", linewidth=2)
    ink = "white" if small.delay[k] >= 2 else "black"
    text = f"k = {k}\nτ = {small.delay[k]}"
    ax.text((begun[worker] + lands) / 2, worker, text, ha="center", va="center", fontsize=7.5, color=ink)
    begun[worker] = lands
ax.set(xlabel="time", ylabel="worker", yticks=range(3), xlim=(0, small.time[-1] + 0.1), title="Who computes when")
ax.invert_yaxis()
ax.grid(visible=False, axis="y")

# %% [markdown]
# Each block is one gradient: the worker copies the parameters at the block's left end, and its update lands at the
# right end. The delay τ is the number of other blocks that end in between. The slowest worker makes few updates, and
# those are the stalest. A block that begins at time 0 can only have read version 0, so the first updates have τ = k.
#
# ## A schedule
#
# Who updates when does not depend on the parameters. So it is drawn first, as a `Schedule`: worker, delay and time of
# each update. Here are eight workers whose compute times are exponential with mean 1.

# %%
num_updates = 30_000
eight_workers = [a3cjax.compute_times.Exponential(1.0)] * 8
schedule = a3cjax.Schedule.from_workers(jax.random.key(1), eight_workers, num_updates)
figure = schedule[:2000].plot()

# %% [markdown]
# The upper left panel has one point for each of the first 2000 updates, the upper right one how often each delay
# occurs. Below, each tick is a landing. Most delays are small, and a few are large: some worker was unlucky and
# computed for a long time, while the seven others went on.

# %%
after_start = schedule.delay[1000:]
print(f"{schedule}, the last at time {schedule.time[-1]:,.0f}")
print(f"mean delay {after_start.mean():.2f}, variance {after_start.var():.1f}, largest {schedule.max_delay}")
print(f"theory for N = 8: mean N − 1 = {8 - 1}, variance N(N − 1) = {8 * 7}")

# %% [markdown]
# With N workers that are always busy the mean delay is N − 1, whatever their compute times; for exponential times the
# delay is geometric, and its variance is N(N − 1). If you would rather choose delays than workers,
# `Schedule.from_law(key, a3cjax.delays.Poisson(7.0), num_updates)` draws them from a law.
#
# ## Train under it
#
# The problem is a random Markov decision process with 20 states and 4 actions. It is small, so everything about it
# can be computed exactly: J(θ), how good the policy with parameters θ is, and J*, how good the best policy is.

# %%
mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=20, num_actions=4)
uniform = np.full((20, 4), 1 / 4)
start = float(a3cjax.exact.objective(mdp, uniform))
optimum = float(a3cjax.exact.optimal_objective(mdp))
print(f"acting at random J = {start:.4f}; the best that any policy can do J* = {optimum:.4f}")

# %% [markdown]
# The learner is A3C with TD(0): an actor (a table of logits θ, one row for each state) and a critic (a linear value
# function with weights ω), each with a step size. `simulate` replays schedules through the learner, as many runs in
# one call as there are random keys. Here are 32 runs: sixteen seeds with one worker, who is never stale, and the same
# sixteen seeds with the eight workers from above.

# %%
one_worker = [a3cjax.compute_times.Exponential(1.0)]
alone = a3cjax.Schedule.from_workers(jax.random.key(3), one_worker, num_updates)
print(f"one worker: largest delay {alone.max_delay}, the last of {num_updates:,} updates at time {alone.time[-1]:,.0f}")

seeds = jax.random.split(jax.random.key(2), 16)
learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.05)
record = a3cjax.Record(every=250)
schedules = a3cjax.Schedule.stack([alone] * 16 + [schedule] * 16)
result = a3cjax.simulate(learner, schedules, jax.numpy.concatenate([seeds, seeds]), record=record)
result

# %% [markdown]
# That is all that a result holds: the last parameters, and a row of numbers every 250 updates. Every metric has the
# 32 runs first and the records second.

# %%
teams = {"1 worker": (slice(0, 16), "#2060a0"), "8 workers": (slice(16, 32), "#c05020")}


def draw(ax, x, name, runs, colour, label):
    """The mean over seeds, in a band that holds the middle 80 % of the seeds."""
    values = np.asarray(result.metrics[name][runs])
    ax.fill_between(x, *np.quantile(values, (0.1, 0.9), axis=0), color=colour, alpha=0.15, linewidth=0)
    ax.plot(x, values.mean(0), color=colour, label=label)


figure, axes = plt.subplots(1, 2, figsize=(8.5, 3), sharey=True)
for label, (runs, colour) in teams.items():
    draw(axes[0], result.updates, "objective", runs, colour, label)
    draw(axes[1], result.time[runs][0], "objective", runs, colour, label)
for ax in axes:
    ax.axhline(optimum, color="0.25", linewidth=0.9)
    ax.axhline(start, color="0.25", linewidth=0.9, linestyle=":")
axes[0].annotate("J*", (num_updates, optimum), (-2, 2), textcoords="offset points", ha="right", va="bottom")
axes[0].annotate("at random", (num_updates, start), (-2, 3), textcoords="offset points", ha="right", va="bottom")
axes[0].legend(loc="center right")
axes[0].set(title="Per update", xlabel="updates k", ylabel="J(θ)", ylim=(start - 0.02, optimum + 0.03))
_ = axes[1].set(title="Per unit of time", xlabel="time (mean compute times)", xscale="log")

# %% [markdown]
# Lines are means over the sixteen seeds; in a band lie the middle 80 % of them. Left, against the number of updates,
# the two curves lie on top of each other: on this problem and with these steps, delays of about seven updates cost
# nothing that can be seen. Right, against time on a logarithmic axis, eight workers are ahead by a constant distance,
# that is by a constant factor: they make eight times as many updates in a unit of time. How much sooner do they reach
# a target?

# %%
target = start + 0.8 * (optimum - start)  # 80 % of what there is to gain
reached = np.asarray(result.metrics["objective"]) >= target
assert reached.any(axis=1).all(), "some seed never reached the target"
first = np.asarray(result.time)[np.arange(32), reached.argmax(axis=1)]  # when each run first reached it
one, eight = first[:16], first[16:]
speedup = a3cjax.studies.ratio_of_means(one, eight)
print(f"one worker needs {one.mean():,.0f} units of time, eight need {eight.mean():,.0f}")
print(f"speedup {speedup.value:.1f} with 8 workers, 95 % interval {speedup.low:.1f} to {speedup.high:.1f} over seeds")
assert speedup.low < 8.5
assert speedup.high > 7.5

# %% [markdown]
# The speedup is close to the number of workers: *linear speedup*. When it fails, and why, is the subject of the other
# notebooks.
#
# ## What is recorded
#
# Metrics of A3C are computed exactly from the parameters, so there is no sampling noise in them. Besides the
# objective they say how far the critic's weights ω are from ω*(θ), where TD(0) would settle for the present policy,
# and how steep the objective still is. (`regularized_objective` is the same as `objective` unless the learner has a
# prior.)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.8))
for label, (runs, colour) in teams.items():
    draw(axes[0], result.updates, "critic_error_sq", runs, colour, label)
    draw(axes[1], result.updates, "gradient_norm_sq", runs, colour, label)
axes[0].legend()
axes[0].set(yscale="log", title="Critic error ‖ω − ω*(θ)‖²", xlabel="updates k")
_ = axes[1].set(yscale="log", title="Squared gradient ‖∇J(θ)‖²", xlabel="updates k")

# %% [markdown]
# Both fall together for one worker and for eight. These are the two quantities that the paper's theorems bound. Any
# function of the state can be recorded beside them, for example `Record(every=250, metrics={"largest_logit": lambda
# state: state.theta.max()})`.
#
# ## Keep, continue, repeat
#
# A schedule and a state are saved as NumPy archives. Here the first of the runs with eight workers is made again,
# alone, stopped half-way, saved, loaded and continued. It ends at the same bits as in the batch above: a run depends
# on its key and its schedule, and on nothing else.

# %%
with tempfile.TemporaryDirectory() as folder:
    schedule.save(Path(folder) / "schedule.npz")
    at_the_end = a3cjax.Record(every=num_updates // 2, metrics=[])
    half = a3cjax.simulate(learner, schedule[: num_updates // 2], seeds[0], record=at_the_end)
    half.state.save(Path(folder) / "half.npz")

    again = a3cjax.Schedule.load(Path(folder) / "schedule.npz")
    saved = a3cjax.SavedState.load(Path(folder) / "half.npz")
whole = a3cjax.simulate(learner, again, seeds[0], record=at_the_end, resume=saved)

same = np.array_equal(whole.params.theta, result.params.theta[16])
print(f"stopped after {half.updates[-1]:,} updates, continued to {whole.updates[-1]:,}; the same bits: {same}")
assert same

# %% [markdown]
# ## Where to go on
#
# - `delay_sweep`: which delays and steps are stable, and the limit that can be calculated.
# - `speedup_and_knee`: how far more workers help.
# - `chains_and_bias`: why each worker walks two Markov chains.
# - `continuous_actions`: the same on a linear-quadratic regulator.
# - On the command line, `a3cjax --help`.
