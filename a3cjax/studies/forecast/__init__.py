"""What a calibrated team would do with other numbers of workers."""

from a3cjax.studies.forecast.ranking import ForecastRow
from a3cjax.studies.forecast.study import ForecastStudy, forecast

__all__ = ["ForecastRow", "ForecastStudy", "forecast"]
