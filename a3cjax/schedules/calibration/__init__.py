"""From the log of a real run to a team of workers, which draws schedules, also of more or slower workers.

``observed`` reads, ``measured`` finds each worker's turns, ``families`` and ``fitting`` find their laws, ``symptoms``
what independent draws from laws do not have; ``team`` is what comes of it.
"""

from a3cjax.schedules.calibration.calibrate import calibrate
from a3cjax.schedules.calibration.team import Team

__all__ = ["Team", "calibrate"]
