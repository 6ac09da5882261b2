"""How large a step a delay allows: the stability limit of delayed linear iterations."""

import numpy as np
from jaxtyping import Complex
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax.problems import FiniteMDP, exact


def stability_limit(eigenvalues: ArrayLike, delay: ArrayLike) -> np.ndarray:
    """The largest β for which x_{k+1} = x_k − β H x_{k−τ} is stable: min over λ of (2/|λ|) sin((π/2 − |arg λ|)/(2τ+1)).

    λ runs over the eigenvalues of H. A mode with eigenvalue λ has the characteristic equation
    z^{τ+1} − z^τ + βλ = 0, and on the unit circle, z = e^{iω}, this is βλ = e^{iωτ}(1 − e^{iω}): modulus 2|sin(ω/2)|
    and argument ω(τ + ½) ∓ π/2. So the roots leave the circle at β|λ| = 2 sin((π/2 ∓ arg λ)/(2τ+1)), the smaller of
    which is the limit. For a real λ it is 2 sin(π/(2(2τ+1)))/λ; for τ = 0 it is 2 Re λ/|λ|². A mode with Re λ ≤ 0
    is stable for no step: limit 0. Modes with |λ| below 10⁻⁶ of the largest are taken for ones that do not move, and
    limit nothing.

    Args:
        eigenvalues: of H, [n], real or complex; for the critic's mean update those of −A_θ.
        delay: τ, in updates, at least 0, any shape.

    Returns:
        The limits, shaped as ``delay``.

    Raises:
        ValueError: if a delay is negative or an eigenvalue is not finite.

    >>> stability_limit(1.0, [0, 1, 3]).round(6).tolist()
    [2.0, 1.0, 0.445042]
    """
    check.number("delay", delay, least=0)
    modes = np.atleast_1d(np.asarray(eigenvalues, np.complex128))
    check.finite("eigenvalues", modes)
    return _limits(modes, delay).min(-1)


def critical_mode(eigenvalues: ArrayLike, delay: ArrayLike) -> np.ndarray:
    """The eigenvalue that sets ``stability_limit``, for each delay.

    >>> critical_mode([1.0, 0.4 + 0.7j], [0, 5]).tolist()  # 2 against 1.23; 0.285 against 0.237
    [(0.4+0.7j), (0.4+0.7j)]
    """
    modes = np.atleast_1d(np.asarray(eigenvalues, np.complex128))
    return modes[_limits(modes, delay).argmin(-1)]


def _limits(modes: np.ndarray, delay: ArrayLike) -> np.ndarray:
    """The limit of each mode, on a last axis."""
    size = np.abs(modes)
    moves = size > 1e-6 * size.max()
    room = np.maximum(np.pi / 2 - np.abs(np.angle(modes)), 0)
    tau = np.asarray(delay, np.float64)[..., None]
    return np.where(moves, 2 / np.where(moves, size, 1) * np.sin(room / (2 * tau + 1)), np.inf)


def critic_eigenvalues(mdp: FiniteMDP, pi: ArrayLike) -> Complex[np.ndarray, " d"]:
    """The eigenvalues of −A_θ, the matrix of the critic's mean update, for the policy ``pi`` [S, A].

    >>> import a3cjax, jax.numpy as jnp
    >>> mdp = a3cjax.families.ring(4, slip=0.5)  # uniform over four states, features the identity: A = (γP − I)/4
    >>> values = critic_eigenvalues(mdp, jnp.full((4, 2), 0.5))
    >>> sorted(values.real.round(4).tolist())  # P has the eigenvalues −1, 0, 0, 1
    [0.025, 0.25, 0.25, 0.475]
    """
    matrix, _ = exact.critic_system(mdp, np.asarray(pi))
    return np.linalg.eigvals(-np.asarray(matrix, np.float64)).astype(np.complex128)
