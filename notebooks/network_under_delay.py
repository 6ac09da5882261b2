# %% [markdown]
# # A network under delay
#
# Actor and critic are networks, the problem is to balance a pole, and the gradients are stale. How much sooner does it
# learn with more workers, and with how many does that end? This is the paper's Fig. 5, carried on until it breaks.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import a3cjax
from a3cjax import environments, networks
from a3cjax.studies.frame.axes import STYLE

plt.rcParams.update({**STYLE, "figure.dpi": 80, "figure.constrained_layout.use": True})

# %% [markdown]
# ## The learner
#
# A worker that has read the parameters takes 20 steps with the policy, from where its cart stands, and sends the
# gradient. The server takes a step of RMSProp, as in A3C. Who updates when is a schedule, as for every other learner.

# %%
learner = a3cjax.ActorCritic(
    environments.CartPole(),
    networks.MLP(hidden=(32,), shared=False),
    optax.rmsprop(1e-3, decay=0.99, eps=1e-5),
    rollout=20,
    trace=0.95,
)

# %% [markdown]
# ## From one worker to 512
#
# N workers that are always busy have a mean delay of N − 1: with 512 of them a gradient is 511 updates old when it
# lands. One call trains three networks for each N, in one batch, and asks when the return of an episode comes to 150.

# %%
study = a3cjax.studies.speedup_to_return(
    learner, workers=(1, 16, 128, 512), seeds=3, num_updates=2000, record_every=50, target_value=150.0
)
print(study.summary())
print()
print(study.table())

# %%
study.figure()

# %% [markdown]
# Left, every curve begins sooner than the one before, by about the factor that there are more workers. The paper's own
# figures, for up to 16 workers, are beside ours in the middle. Its time is that of its machines, where workers wait for
# each other; virtual time has no such costs, so ours follows the samples.
#
# ## The knee
#
# What is left of each worker's samples is speedup(N)/N. The knee is where that falls to one half: from there on more of
# the samples are lost to delay than count.

# %%
workers = np.array([row.workers for row in study.rows])
efficiency = np.array([row.speedup / row.workers for row in study.rows])
figure, ax = plt.subplots(figsize=(6, 3))
ax.semilogx(workers, efficiency, "o-", base=2)
ax.axhline(0.5, color="#404040", linewidth=0.9, linestyle="--")
ax.set(xlabel="workers N", ylabel="speedup(N) / N", title="What is left of a worker's samples", ylim=(0, 1.3))
ax.set_xticks(workers, [str(n) for n in workers])
for row, left in zip(study.rows, efficiency, strict=True):
    print(f"{row.workers:4} workers: {left:.2f} of each worker's samples count")
assert efficiency[1] > 0.6 > efficiency[-1]

# %% [markdown]
# It is not the delay alone that decides, but the delay beside the number of updates that learning takes. Here that is
# about 500, so 16 workers cost next to nothing and 512 most of what they bring. With half the learning rate it takes
# twice the updates, and the knee moves outwards.
#
# ## In a loop of your own
#
# The same delays in a training loop that knows nothing of this package: `a3cjax.optax.delayed` makes any optimiser one
# whose gradients are stale as a schedule says. The loop's parameters are then what a worker has read;
# `server_params` gives the newest. Here sixteen workers fit a line, with a step that is too large for them and one that
# is not.

# %%
x = jnp.linspace(-1, 1, 32)
y = 2 * x + 1


def loss(params):
    return jnp.mean((params["slope"] * x + params["offset"] - y) ** 2)


def fit(step, schedule):
    optimizer = a3cjax.optax.delayed(optax.sgd(step), schedule)

    def update(loop, _):
        params, state = loop
        changes, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, changes), state), loss(a3cjax.optax.server_params(state))

    params = {"slope": jnp.zeros(()), "offset": jnp.zeros(())}
    return jax.lax.scan(update, (params, optimizer.init(params)), length=schedule.num_updates)[1]


sixteen = a3cjax.Schedule.from_workers(jax.random.key(0), [a3cjax.compute_times.Exponential(1.0)] * 16, 400)
figure, ax = plt.subplots(figsize=(6, 3))
for step in (0.01, 0.3):
    ax.semilogy(fit(step, sixteen), label=f"16 workers, step {step:g}")
ax.semilogy(fit(0.3, a3cjax.Schedule.sequential(400)), "k--", linewidth=1, label="one worker, step 0.3")
ax.set(xlabel="updates", ylabel="mean squared error", ylim=(1e-8, 1e8))
_ = ax.legend()

# %% [markdown]
# With one worker the larger step is at the goal at once; with sixteen it blows up. No environment, no actor, no critic:
# staleness is a matter of steps and delays.
