"""Questions asked of many runs, and what they share: statistics, tables, figures, files."""

from a3cjax._core.public import listing
from a3cjax._core.statistics import mean_interval
from a3cjax.studies.bound import BoundRow, BoundStudy, bound, generated_tokens
from a3cjax.studies.chains import ChainsRow, ChainsStudy, chains
from a3cjax.studies.compare import CompareRow, CompareStudy, compare
from a3cjax.studies.critical_step import CriticalStepRow, CriticalStepStudy, critical_step
from a3cjax.studies.delay_errors import DelayBound, DelayErrorRow, DelayErrorStudy, delay_bound, delay_errors
from a3cjax.studies.demo import DemoStudy, demo
from a3cjax.studies.estimators import EstimatorsRow, EstimatorsStudy, estimators
from a3cjax.studies.forecast import ForecastRow, ForecastStudy, forecast
from a3cjax.studies.frame.crossing import first_crossing
from a3cjax.studies.frame.runs import SAMPLING
from a3cjax.studies.frame.statistics import power_law, proportion_interval, ratio_of_means
from a3cjax.studies.frame.study import Study, StudyInterrupted
from a3cjax.studies.knee import KneeRow, KneeStudy, knee
from a3cjax.studies.log import LogRow, LogStudy, describe_log
from a3cjax.studies.rates import RatesRow, RatesStudy, rates
from a3cjax.studies.regularisation import (
    RegularisationRow,
    RegularisationStudy,
    regularisation,
    typical_priors,
)
from a3cjax.studies.remedies import REMEDIES, Chain, Delays, Problem, RemediesStudy, Remedy, RemedyRow, remedies
from a3cjax.studies.replay import ReplayRow, ReplayStudy, SampleReplay, replay, replay_samples
from a3cjax.studies.speedup import (
    ReturnRow,
    ReturnStudy,
    SpeedupRow,
    SpeedupStudy,
    speedup,
    speedup_to_return,
)
from a3cjax.studies.stability import critic_eigenvalues, stability_limit
from a3cjax.studies.sweep import SweepRow, SweepStudy, sweep

__all__ = [
    "REMEDIES", "SAMPLING", "BoundRow", "BoundStudy", "Chain", "ChainsRow", "ChainsStudy", "CompareRow", "CompareStudy",
    "CriticalStepRow", "CriticalStepStudy", "DelayBound", "DelayErrorRow", "DelayErrorStudy", "Delays", "DemoStudy",
    "EstimatorsRow", "EstimatorsStudy", "ForecastRow", "ForecastStudy", "KneeRow", "KneeStudy", "LogRow", "LogStudy",
    "Problem", "RatesRow", "RatesStudy", "RegularisationRow", "RegularisationStudy", "RemediesStudy", "Remedy",
    "RemedyRow", "ReplayRow", "ReplayStudy", "ReturnRow", "ReturnStudy", "SampleReplay", "SpeedupRow", "SpeedupStudy",
    "Study", "StudyInterrupted", "SweepRow", "SweepStudy", "bound", "chains", "compare", "critic_eigenvalues",
    "critical_step", "delay_bound", "delay_errors", "demo", "describe_log", "estimators", "first_crossing", "forecast",
    "generated_tokens", "knee", "mean_interval", "power_law", "proportion_interval", "rates", "ratio_of_means",
    "regularisation", "remedies", "replay", "replay_samples", "speedup", "speedup_to_return", "stability_limit",
    "sweep", "typical_priors",
]  # fmt: skip
__dir__ = listing(__all__)
