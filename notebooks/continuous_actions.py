# %% [markdown]
# # Continuous actions: pushing a mass to rest
#
# States and actions need not be finite. In a linear-quadratic regulator the state moves linearly, the cost is
# quadratic, and the best policy is known in closed form. So A3C can be measured exactly here too, with a Gaussian
# policy and a quadratic critic; the schedules, the delays and `simulate` are the same as in the other notebooks.

# %%
# %matplotlib inline
import jax
import matplotlib.pyplot as plt
import numpy as np

import a3cjax
from a3cjax.studies.frame.axes import PALETTE, STYLE

plt.rcParams.update({**STYLE, "figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## The problem
#
# A mass has a position and a velocity, and noise pushes it about. The action is a force. Each step costs position² +
# velocity² + force², and the reward is minus that. The policy is a ~ N(θs, σ²): the mean force is linear in the
# state, and θ, the gain, is learned; σ is fixed, it is what explores. Riccati's equation gives the best gain.

# %%
lqr = a3cjax.families.double_integrator(feature_scale=[1.0, 0.7])
policy = a3cjax.policies.LinearGaussian(state_dim=2, action_dim=1, std=0.5)
weak = np.array([[-0.2, -0.5]])  # a start that is stable, but slow
best = np.asarray(lqr.optimal_gain())
start, optimum = float(lqr.evaluate(policy, weak).objective), float(lqr.optimal_objective(policy))
print(f"start: gain {weak[0]}, J = {start:.3f}")
print(f"best:  gain {best[0].round(3)}, J* = {optimum:.3f}")

# %%
figure, ax = plt.subplots(figsize=(6, 2.5))
steps = 40
for (name, gain), colour in zip({"start": weak, "best": best}.items(), PALETTE, strict=False):
    closed_loop = np.asarray(lqr.state_matrix) + np.asarray(lqr.input_matrix) @ gain
    path = np.array([np.linalg.matrix_power(closed_loop, t) @ [2.0, 0.0] for t in range(steps)])
    ax.plot(path[:, 0], color=colour, label=f"{name} gain")
ax.axhline(0, color="0.5", linewidth=0.8)
ax.legend()
_ = ax.set(xlabel="step", ylabel="position", title="From position 2 at rest, without noise")

# %% [markdown]
# Both gains bring the mass back. The best one does so sooner, and swings less.
#
# ## Speedup
#
# The study of the notebook `speedup_and_knee`, on this problem. The target closes 90 % of the gap between J of the
# start and J*.

# %%
learner = a3cjax.A3C(lqr, actor_step=1e-4, critic_step=0.01, policy=policy, theta=weak, radius=25.0)
study = a3cjax.studies.speedup(
    learner, workers=(1, 4, 16, 64), sampling=["markov"], seeds=12, num_updates=16_000, target=0.9
)
print(study.summary())
print()
print(study.table())

# %%
study.figure()

# %% [markdown]
# The speedup follows the ideal line, and with 64 workers it is above it. A likely reason: every worker's chains begin
# at the initial law, whose states are larger than those of the long run, and from large states there is more to
# learn. With 64 workers most samples up to the target come from such a beginning; with one worker, from its end. So
# more workers here also see other data, not only more of it.
#
# ## The way of the gain
#
# Any function of the state can be recorded, here the gain itself.

# %%
num_updates, record = 16_000, a3cjax.Record(every=200, metrics={"gain": lambda state: state.theta[0]})
counts, seeds = (1, 64), jax.random.split(jax.random.key(2), 4)
teams = [[a3cjax.compute_times.Exponential(1.0)] * count for count in counts]
schedules = [a3cjax.Schedule.from_workers(jax.random.key(1), workers, num_updates) for workers in teams]
batch = a3cjax.Schedule.stack([schedule for schedule in schedules for _ in seeds])
result = a3cjax.simulate(learner, batch, jax.numpy.concatenate([seeds, seeds]), record=record)
paths = dict(zip(counts, np.asarray(result.metrics["gain"]).reshape(2, 4, -1, 2), strict=True))

# %%
on_position, on_velocity = np.linspace(-1.1, -0.1, 41), np.linspace(-2.0, -0.4, 41)
gains = np.stack(np.meshgrid(on_position, on_velocity), axis=-1).reshape(-1, 1, 2)
objective = jax.jit(jax.vmap(lambda gain: lqr.evaluate(policy, gain).objective))(gains).reshape(41, 41)

figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.5), sharey=True)
for ax, (count, gain) in zip(axes, paths.items(), strict=True):
    lines = ax.contour(on_position, on_velocity, objective, levels=optimum - np.array([0.8, 0.4, 0.2, 0.1, 0.05, 0.01]))
    ax.clabel(lines, fmt="%.2f", fontsize=7)
    for run in gain:
        whole = np.concatenate([weak, run])
        ax.plot(*whole.T, color=PALETTE[1], linewidth=0.9, alpha=0.8)
    ax.plot(*weak[0], "o", color="black", markersize=5, label="start")
    ax.plot(*best[0], "*", color="black", markersize=11, label="best gain")
    ax.set(title=f"{count} worker{'s' if count > 1 else ''}", xlabel="gain on the position")
    ax.grid(visible=False)
axes[0].set_ylabel("gain on the velocity")
_ = axes[0].legend(loc="lower left")

# %%
for count, gain in paths.items():
    last = gain[:, -20:].mean((0, 1))
    print(f"{count:2} workers: mean gain of the last quarter {last.round(2)}, best {best[0].round(2)}")
    assert np.abs(last - best[0]).max() < 0.15
