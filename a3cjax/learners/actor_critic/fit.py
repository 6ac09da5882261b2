"""Whether a network fits an environment."""

from typing import Any

import jax
import jax.numpy as jnp

from a3cjax._core import check
from a3cjax.environments.adopted import name_of, shapes_of
from a3cjax.networks import Network


def fitted_network(network: Any, environment: Any, policy: Any) -> tuple[Any, Any]:
    """The network with the environment's sizes, and the shapes of its parameters.

    Raises:
        ValueError: if it is none, or what it returns does not fit the environment's actions.
    """
    if isinstance(network, type):
        raise ValueError(f"network is the class {network.__name__}; give an instance, such as {network.__name__}().")
    for method in ("init", "apply"):
        if not callable(getattr(network, method, None)):
            raise ValueError(
                f"network is a {type(network).__name__}, which has no method {method}; use a3cjax.networks.MLP(), or "
                "a3cjax.networks.Network(init, apply) with two functions."
            )
    if not hasattr(network, "fitted"):
        network = Network(network.init, network.apply)
    network = network.fitted(environment)
    name = f"network for {name_of(environment)}"
    params = _traced(f"init of the {name}", network.init, jax.random.key(0))
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                f"init of the {name} returns params{jax.tree_util.keystr(path)} of {leaf.dtype}, which has no "
                "gradient; keep what is not learned out of the parameters."
            )
    output = _traced(f"apply of the {name}", network.apply, params, shapes_of(environment).observation)
    if not isinstance(output, tuple) or len(output) != 2:
        raise ValueError(
            f"apply of the {name} must return a pair, the policy's parameters and the value, but returns "
            f"{output if hasattr(output, 'shape') else type(output).__name__}."
        )
    policy.check(output[0])
    if getattr(output[1], "shape", None) != ():
        raise ValueError(
            f"the network returns a value of shape {jnp.shape(output[1])}, but it must be one number; return value[0], "
            "say."
        )
    return network, params


def _traced(what: str, method: Any, *args: Any) -> Any:
    try:
        return check.traceable(what, lambda: jax.eval_shape(method, *args), "use jnp.where in place of if")
    except TypeError as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"{what} failed: {first}; see a3cjax.networks for what it is given.") from error
