# %% [markdown]
# # Which staleness can you afford?
#
# Generators make samples, a queue holds them, a learner takes a batch for each update. Samples are made with weights
# that are old when the learner gets to them, and every system has a knob that says how old they may be. A tight bound
# trains on fresh samples, and throws samples away or waits. A loose one wastes nothing, and its samples are stale.
# Which is better is a question of two numbers: how many samples a second are trained on, and how many it takes.

# %%
# %matplotlib inline
import jax
import matplotlib.pyplot as plt
import numpy as np

import a3cjax
from a3cjax.studies.frame.axes import PALETTE, STYLE

plt.rcParams.update({**STYLE, "figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## What a bound does to the samples
#
# No learning yet: who waits for whom does not depend on what is learned. Thirty-two generators take as long as the
# answers of a language model are, very unevenly; the learner takes a batch of 8 and 2 units of time. What is too
# stale when it comes off the queue is dropped.

# %%
generators, learning = [a3cjax.studies.generated_tokens(40.0)] * 32, a3cjax.compute_times.Deterministic(2.0)
bounds = (0, 1, 2, 4, 8, None)
reports = {
    bound: a3cjax.Schedule.from_pipeline(
        jax.random.key(0), generators, learning, num_updates=400, batch=8, queue=32, max_staleness=bound
    ).report
    for bound in bounds
}
print("bound   mean lag  in flight  in queue  dropped  samples / time  generation time of what is kept, over all")
for bound, report in reports.items():
    lags = f"{report.lag.mean():8.2f}  {report.lag_in_flight.mean():9.2f}  {report.lag_in_queue.mean():8.2f}"
    print(
        f"{bound!s:>5}   {lags}  {report.share_dropped:7.0%}  {report.samples_per_time:14.2f}  "
        f"{report.trained_generation:.2f}"
    )
assert reports[0].lag.max() == 0
assert reports[None].share_dropped == 0

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
names = ["none" if bound is None else str(bound) for bound in bounds]
shares = [[1 - r.share_dropped, r.share_dropped] for r in reports.values()]
axes[0].bar(names, [kept for kept, _ in shares], color=PALETTE[0], label="trained on")
axes[0].bar(names, [gone for _, gone in shares], bottom=[kept for kept, _ in shares], color="0.85", label="dropped")
axes[0].set(title="What becomes of the samples", xlabel="maximum staleness", ylabel="share")
axes[0].legend(loc="lower right", facecolor="white", frameon=True)
for bound, colour in ((1, PALETTE[1]), (None, PALETTE[0])):
    report = reports[bound]
    took = np.sort((report.finished - report.started)[~report.dropped])
    axes[1].plot(took, np.linspace(0, 1, len(took)), color=colour, label=f"bound {bound}" if bound else "no bound")
axes[1].set(title="How long kept samples took to make", xlabel="time", ylabel="share of them that took less")
_ = axes[1].legend()

# %% [markdown]
# Dropping does two things. It costs samples, and it chooses: what is dropped is what took long. With a bound of 1 the
# samples that are trained on are the quick ones. Where slow samples are the hard ones, the learner never sees them.
#
# ## What it does to learning
#
# The study `bound` runs a learner under such pipelines, each choice with its own best step, found on other seeds. Every
# choice has the same random numbers, so that times are compared in pairs. The learner here is a small one, a noisy
# descent: every update averages the noise of 8 samples, and a large step is unstable when samples are stale.

# %%
descent = a3cjax.QuadraticSGD(curvature=[1.0, 0.3], step=0.05, noise=1.0)
study = a3cjax.studies.bound(
    descent,
    generators[0],
    learning,
    generators=32,
    bounds=(0, 1, 4, None),
    batches=(8,),
    queues=(32,),
    corrections=("none",),
    factors=(2, 4, 8, 16),
    num_samples=600,
    metric="distance_sq",
    target_value=0.05,
    seeds=20,
    trials=5,
)
print(study.summary())
print()
print(study.table())

# %%
study.figure()

# %% [markdown]
# Throughput rises with the bound, and so do the samples that are needed: the fresher they are, the larger a step can
# be. The time to the target is their quotient, and it is nearly flat over a wide range. Only the bound of 0 is too
# tight, for it wastes most of what is made; between the others twenty seeds cannot tell, and where the study says
# "cannot be told apart", a bound may be chosen for other reasons, such as which samples are dropped.

# %%
times = {row.bound: (row.to_best, row.to_best_low, row.to_best_high) for row in study.rows}
for bound, (ratio, low, high) in times.items():
    print(f"bound {bound:>4}: {ratio:.2f} times the time of the best, 95 % interval {low:.2f} to {high:.2f}")
assert times["0"][1] > 1  # told apart
assert max(times[bound][0] for bound in ("1", "4", "none")) < 1.5

# %% [markdown]
# ## Is it the lag or the choice?
#
# The same lag without dropping: generators wait until their sample would be fresh enough (`on_stale="wait"`). No
# sample is favoured then, and the learner waits for the slowest instead.

# %%
print("bound  samples / time, dropping  waiting    learner idle, dropping  waiting")
for bound in (1, 4):
    waiting = a3cjax.Schedule.from_pipeline(
        jax.random.key(0),
        generators,
        learning,
        num_updates=400,
        batch=8,
        queue=None,
        max_staleness=bound,
        on_stale="wait",
    ).report
    dropping = reports[bound]
    print(
        f"{bound:>5}  {dropping.samples_per_time:24.2f}  {waiting.samples_per_time:7.2f}    "
        f"{dropping.learner_idle:22.0%}  {waiting.learner_idle:7.0%}"
    )
    assert abs(waiting.trained_generation - 1) < 1e-9

# %% [markdown]
# For your own system, put its generation times in the place of `generators` (`compute_times.Empirical` takes measured
# ones), and your learner in the place of `descent`. `a3cjax bound --help` does it from the command line, and
# `docs/choose/pipelines.md` gives the knobs of today's systems as these arguments.
