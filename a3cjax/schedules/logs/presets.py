"""The names under which other systems report staleness, and what the numbers under them are.

Almost all of these are one number for a whole batch or iteration, often averaged once more before it is written. A
delay belongs to one update, and the spread of delays is gone from an average of them: a schedule made of such numbers
has the mean of the run at best. So they become one only where the caller says that this is what is wanted.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Preset:
    """One system's metric.

    Attributes:
        system: its name.
        columns: the metric's names, the first that is there is read.
        unit: what it counts: "training steps", "gradient steps", "update calls" or "samples".
        floor: the value of an update by the newest parameters there are: 0 or 1.
        averaged: what was averaged into one number; "" if it is of one update.
        hint: what else to know of it.
    """

    system: str
    columns: tuple[str, ...]
    unit: str
    floor: int
    averaged: str
    hint: str = ""


PRESETS = {
    "areal": Preset(
        "AReaL",
        ("sample_staleness_theta_avg", "version_stats/sample_staleness_theta_avg"),
        "training steps",
        0,
        "over the samples of a batch",
        "Per token, its `versions` are the submitted versions: log them with the sample.",
    ),
    "prime-rl": Preset(
        "prime-rl",
        ("off_policy/mean", "off_policy/in_flight/mean"),
        "training steps",
        0,
        "over the samples of a batch",
        "It is step − 1 minus the oldest version of a sample, with the time in the queue.",
    ),
    "verl": Preset(
        "verl",
        ("training/off_policy/trajectory_staleness/mean", "training/off_policy/trajectory_staleness_worst/mean"),
        "synchronisations of the parameters",
        0,
        "over the trajectories of a batch",
        "`staleness_threshold` is a share of stale samples, not a delay.",
    ),
    "skyrl": Preset(
        "SkyRL",
        ("async/staleness_mean",),
        "training steps",
        0,
        "over the samples of a batch",
        "From the time at which a sample was scheduled to its training.",
    ),
    "open-instruct": Preset(
        "open-instruct",
        ("num_steps_off_policy",),
        "training steps",
        0,
        "over the samples of a batch",
        "`model_step_mean` beside it is a version, not a delay.",
    ),
    "rllib": Preset(
        "RLlib",
        ("diff_num_grad_updates_vs_sampler_policy",),
        "update calls",
        1,
        "over a batch, and again over the iterations of a report",
        "Calls of update(), whatever their gradient steps; the counter rises first, hence the floor of 1.",
    ),
    "sample-factory": Preset(
        "sample-factory",
        ("train/version_diff_avg", "version_diff_avg"),
        "gradient steps",
        0,
        "over a batch, and again over the batches of a report",
        "It counts the batch's own earlier epochs as well.",
    ),
}
