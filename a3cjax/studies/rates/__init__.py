"""Theorems 1 to 4 measured: how averages over a run fall with the number of updates."""

from a3cjax.studies.rates.delays import DELAYS, MaximalDelay
from a3cjax.studies.rates.study import RatesRow, RatesStudy, rates

__all__ = ["DELAYS", "MaximalDelay", "RatesRow", "RatesStudy", "rates"]
