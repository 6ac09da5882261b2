"""The commands: one file each, named here."""

from typing import Any

from a3cjax.cli.command import Command, as_json
from a3cjax.cli.commands.chains import ChainsOptions
from a3cjax.cli.commands.compare import CompareOptions
from a3cjax.cli.commands.critical_step import CriticalStepOptions
from a3cjax.cli.commands.delay_errors import DelayErrorsOptions
from a3cjax.cli.commands.estimators import EstimatorsOptions
from a3cjax.cli.commands.knee import KneeOptions
from a3cjax.cli.commands.rates import RatesOptions
from a3cjax.cli.commands.regularisation import RegularisationOptions
from a3cjax.cli.commands.speedup import SpeedupOptions
from a3cjax.cli.commands.speedup_lqr import LQRSpeedupOptions
from a3cjax.cli.commands.sweep import SweepOptions

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
