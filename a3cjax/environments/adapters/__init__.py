"""Environments of other libraries, each imported when its adapter is first used."""

from a3cjax.environments.adapters.brax import Brax
from a3cjax.environments.adapters.gymnax import Gymnax, MinAtar
from a3cjax.environments.adapters.jumanji import Jumanji

__all__ = ["Brax", "Gymnax", "Jumanji", "MinAtar"]
