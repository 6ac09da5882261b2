"""The commands: one file each, named here."""

from typing import Any

from a3cjax.commands.chains import ChainsOptions
from a3cjax.commands.command import Command, as_json
from a3cjax.commands.compare import CompareOptions
from a3cjax.commands.critical_step import CriticalStepOptions
from a3cjax.commands.delay_errors import DelayErrorsOptions
from a3cjax.commands.estimators import EstimatorsOptions
from a3cjax.commands.knee import KneeOptions
from a3cjax.commands.rates import RatesOptions
from a3cjax.commands.regularisation import RegularisationOptions
from a3cjax.commands.speedup import SpeedupOptions
from a3cjax.commands.speedup_lqr import LQRSpeedupOptions
from a3cjax.commands.sweep import SweepOptions

COMMANDS: dict[str, Any] = {
    "speedup": SpeedupOptions,
    "knee": KneeOptions,
    "compare": CompareOptions,
    "sweep": SweepOptions,
    "critical-step": CriticalStepOptions,
    "delay-errors": DelayErrorsOptions,
    "rates": RatesOptions,
    "estimators": EstimatorsOptions,
    "chains": ChainsOptions,
    "regularisation": RegularisationOptions,
    "speedup-lqr": LQRSpeedupOptions,
}

__all__ = ["COMMANDS", "Command", "as_json"]
