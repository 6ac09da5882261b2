"""Networks: ``init(key)`` makes parameters, ``apply(params, observation)`` the policy's parameters and a value.

A network of any library is one: give two functions to ``Network``.
"""

from a3cjax._core.public import listing
from a3cjax.networks.mlp import MLP
from a3cjax.networks.network import AbstractNetwork, Network
from a3cjax.networks.tabular import Tabular

__all__ = ["MLP", "AbstractNetwork", "Network", "Tabular"]
__dir__ = listing(__all__)
