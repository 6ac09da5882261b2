# %% [markdown]
# # Linear speedup, and its knee
#
# With N workers there are N times as many updates in a unit of time, but each is about N updates stale. As long as
# staleness costs nothing, a target is met N times sooner: *linear speedup*. This notebook measures how far that goes,
# and compares the place where it ends with a number that can be calculated beforehand.

# %%
# %matplotlib inline
import jax
import matplotlib.pyplot as plt
import numpy as np

import a3cjax
from a3cjax.studies.frame.axes import PALETTE, STYLE

plt.rcParams.update({**STYLE, "figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## Speedup
#
# Speedup(N) is the number of samples that one worker needs to the target, over the number that each of N workers
# needs. The target is to close 90 % of the gap between J of the start and the optimum J*. J is computed exactly at
# every record, and the crossing is interpolated between two records, so no noise of measurement comes in; what varies
# is the run, and the intervals are over seeds.
#
# The problem has 15 states and 2 actions; from everywhere a step leads almost anywhere, so it forgets its past at
# once. Features are tabular. Compute times vary by 20 %, about as measured on real machines. The critic is projected
# on a ball that holds every value function of this problem (√15 · 10 < 40), so a run that fails does not overflow but
# wanders about in the ball.

# %%
num_states, num_actions, discount = 15, 2, 0.9
dense = a3cjax.families.synthetic(jax.random.key(0), num_states, num_actions, num_features=1)
dense = a3cjax.FiniteMDP(dense.transition, dense.reward, dense.initial, discount, features=np.eye(num_states))

workers = (1, 4, 16, 64, 256)


def measure(mdp, critic_step):
    """The speedup study of one problem: six seeds for every number of workers."""
    learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=critic_step, radius=40.0)
    return a3cjax.studies.speedup(
        learner,
        workers=workers,
        sampling=["markov"],
        seeds=6,
        num_updates=20_000,
        record_every=100,
        target=0.9,
        compute_times=a3cjax.compute_times.Lognormal(mean=1.0, cv=0.2),
    )


study = measure(dense, 0.5)
print(study.table())

# %%
study.figure()

# %% [markdown]
# Up to sixteen workers the speedup on the right follows the ideal line. Then it ends: a dash in the table means that
# some seed never met the target. The critic's error on the left shows what happens. With the largest numbers of
# workers, the darkest curves, it does not fall but grows, until the projection stops it. An actor that listens to
# such a critic learns nothing. (The paper's figures in the table are of another problem, with other steps.)
#
# ## Where it has to end
#
# On average the critic moves by β (b + A ω), where A comes from the stationary law of the policy. With a constant
# delay τ such an iteration is stable if and only if, for every eigenvalue λ of −A,
#
# $$\beta\,|\lambda| < 2 \sin\Big(\frac{\pi/2 - |\arg\lambda|}{2\tau + 1}\Big).$$
#
# N workers of nearly equal speed have delays near N − 1. So we can solve for the largest N that the average iteration
# bears. The policy changes while it learns; we look at the policy at the start, which is uniform, and at the optimal
# one, and take the smaller N.


# %%
def knee(mdp, critic_step):
    """The number of workers at which the mean update of the critic becomes unstable."""
    found = []
    for policy in (np.full((num_states, num_actions), 1 / num_actions), a3cjax.exact.optimal_policy(mdp)):
        values = a3cjax.studies.critic_eigenvalues(mdp, policy)
        values = values[np.abs(values) > 1e-5]  # states that the policy never visits do not move
        room = np.pi / 2 - np.abs(np.angle(values))
        delay = (room / np.arcsin(critic_step * np.abs(values) / 2) - 1) / 2
        found.append(1 + delay.min())
    return min(found)


for critic_step in (1.0, 0.5, 0.25):
    print(f"critic step {critic_step:<4}  knee at N = {knee(dense, critic_step):.0f}")

# %% [markdown]
# The knee is inversely proportional to the step: half the step, twice the workers. Is that so?

# %%
studies = {1.0: measure(dense, 1.0), 0.5: study, 0.25: measure(dense, 0.25)}


def efficiency(study):
    """Speedup(N) / N, NaN where some seed did not meet the target."""
    return np.array([row.efficiency for row in study.rows])


def last_whole(study):
    """The largest N whose seeds all met the target, and with it all smaller N."""
    whole = int(np.cumprod(np.isfinite(efficiency(study))).sum())
    return workers[whole - 1] if whole else 0


for critic_step, each in studies.items():
    print(f"critic step {critic_step:<4}  all seeds meet the target up to N = {last_whole(each)}", end=", ")
    print(f"knee calculated at N = {knee(dense, critic_step):.0f}")
    assert 0 < last_whole(each) < knee(dense, critic_step)


# %% [markdown]
# The calculated knee is an upper bound here: no run with more workers meets the target with all its seeds. Beyond it
# the average iteration is unstable. Noise can make runs fail before: a single sample moves one state by the whole
# step, much harder than the average does, and with the largest step that is what ends the speedup. With the smaller
# steps the two numbers agree as well as they can on a grid of N = 1, 4, 16, 64, 256.
#
# ## Slow mixing
#
# The problem above forgets where it is at once. Three others do not: the same problem made *lazy*, where nine of ten
# steps go nowhere; a walk on a *ring* of states with a reward in one place; and a *sparse* random problem (Garnet),
# where each action leads to two states only. |λ₂|, the second largest eigenvalue of the chain under the uniform
# policy, says how much of the past is left after a step.

# %%
problems = {
    "dense": dense,
    "lazy": a3cjax.families.lazy(dense, stay=0.9),
    "ring": a3cjax.families.lazy(a3cjax.families.ring(num_states), stay=0.1),
    "sparse": a3cjax.families.garnet(jax.random.key(6), num_states, num_actions, branching=2),
}
measured = {name: measure(mdp, 0.5) for name, mdp in problems.items() if name != "dense"} | {"dense": study}

print("problem   |λ₂|  knee calculated  all seeds meet the target up to  updates with N = 1")
for name, mdp in problems.items():
    second = np.sort(np.abs(np.linalg.eigvals(np.asarray(mdp.transition).mean(1))))[-2]
    (one,) = [row for row in measured[name].rows if row.workers == 1]
    print(f"{name:7}{second:7.2f}{knee(mdp, 0.5):17.0f}", end="")
    print(f"{last_whole(measured[name]):33}{one.updates_to_target:20,.0f}")
    assert 0 < last_whole(measured[name]) < knee(mdp, 0.5)


# %%
figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.4))
axes[0].plot(workers, workers, color="0.25", linestyle="--", linewidth=0.9, label="ideal: N")
for (name, mdp), colour, marker in zip(problems.items(), PALETTE, "osD^", strict=False):
    rows = [row for row in measured[name].rows if np.isfinite(row.speedup)]
    n, value = np.array([(row.workers, row.speedup) for row in rows]).T
    spread = np.array([(row.speedup - row.speedup_low, row.speedup_high - row.speedup) for row in rows]).T
    look = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.2}
    axes[0].errorbar(n, value, spread, label=name, capsize=2, **look)
    all_workers = np.array(workers)
    curve = np.nan_to_num(efficiency(measured[name]))
    axes[1].plot(all_workers / knee(mdp, 0.5), curve, label=name, **look)
axes[0].set(
    xscale="log", yscale="log", xlabel="workers N", ylabel="speedup(N)", title="Where all seeds meet the target"
)
axes[0].set_xticks(workers, [str(n) for n in workers])
axes[0].minorticks_off()
axes[0].legend()
axes[1].axvline(1, color="0.25", linestyle="--", linewidth=0.9)
axes[1].annotate("knee", (1, 1.1), (4, 0), textcoords="offset points")
_ = axes[1].set(xscale="log", xlabel="workers N / calculated knee", ylabel="speedup(N) / N", title="Against the knee")

# %% [markdown]
# Left, each problem follows the ideal line and then stops. Right, the same curves against N divided by the calculated
# knee; a point at zero means that some seed did not meet the target. The problems break at very different N, and all
# of them before 1.
#
# So slow mixing as such does not cost the speedup. The lazy chain mixes ten times more slowly than the dense one and
# bears more workers, because laziness makes the eigenvalues of A smaller. The ring bears few, because the optimal
# policy stays near one state: that state is updated often, so its eigenvalue is large. What counts is delay times
# step times curvature. Where it fails, take a smaller step, or fewer workers.
#
# `a3cjax knee`, or `a3cjax.studies.knee`, measures without any calculation where half of each worker's samples are
# lost, for several of the actor's steps, with intervals.
