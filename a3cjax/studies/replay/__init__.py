"""What the asynchrony of a real run does to a learner."""

from a3cjax.studies.replay.samples import SampleReplay, replay_samples
from a3cjax.studies.replay.study import ReplayRow, ReplayStudy, replay

__all__ = ["ReplayRow", "ReplayStudy", "SampleReplay", "replay", "replay_samples"]
