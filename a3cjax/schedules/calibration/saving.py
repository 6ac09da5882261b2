"""A team as a file: a NumPy archive, written whole or not at all, of numbers and one text of JSON."""

import dataclasses
import json
import os
from typing import Any

import numpy as np

from a3cjax._core import files
from a3cjax.schedules import compute_times, waits
from a3cjax.schedules.calibration.calibration import Calibration, Seen
from a3cjax.schedules.calibration.fitting import Fit
from a3cjax.schedules.calibration.measured import Turns, Writing
from a3cjax.schedules.calibration.parts import Parts
from a3cjax.schedules.calibration.symptoms import Symptoms
from a3cjax.schedules.compute_times import ComputeTime

_LAWS = {name: getattr(compute_times, name) for name in compute_times.__all__ if name != "ComputeTime"}
_LAWS["waits.Empirical"] = waits.Empirical
_NAMES = {kind: name for name, kind in _LAWS.items()}
_IS = "a saved team", "give a file written by Team.save"
_TOLD = "told"


def save(path: str | os.PathLike[str], fields: dict[str, Any]) -> None:
    """Write a team's fields.

    Raises:
        ValueError: if a law is none of ours.
    """
    laws: dict[int, Any] = {}  # by identity, for workers share them
    arrays: dict[str, np.ndarray] = {}

    def number(law: Any, what: str) -> int:
        if id(law) not in laws:
            if type(law) not in _LAWS.values():
                raise ValueError(f"{what} is a {type(law).__name__}, and only laws of a3cjax.compute_times are saved.")
            laws[id(law)] = law
            for field in dataclasses.fields(law):
                arrays[f"law {len(laws) - 1} {field.name}"] = np.asarray(getattr(law, field.name))
        return list(laws).index(id(law))

    told = {
        **fields,
        "compute_times": [number(x, f"compute_times[{i}]") for i, x in enumerate(fields["compute_times"])],
    }
    if isinstance(told["wait"], ComputeTime):
        told["wait"] = {"law": number(told["wait"], "wait")}
    log: Calibration | None = told.pop("calibration")
    if log is not None:
        for i, one in enumerate(log.turns):
            arrays[f"turns {i}"] = np.stack(one)
        known = {field.name: getattr(log, field.name) for field in dataclasses.fields(log)}
        del known["turns"]
        fits = [{**vars(fit), "law": number(fit.law, "the law")} for fit in log.fits]
        told["log"] = known | {"fits": fits}
    told["laws"] = [_NAMES[type(law)] for law in laws.values()]
    everything: dict[str, Any] = {**arrays, _TOLD: np.array(json.dumps(told, default=_plain))}
    files.write_whole(path, lambda file: np.savez(file, **everything))


def _plain(value: Any) -> Any:
    return value.item()  # of NumPy


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields in a file that ``save`` wrote.

    Raises:
        ValueError: if it is anything else.
    """
    arrays = files.read_arrays(path, *_IS)
    if _TOLD not in arrays:
        raise files.refusal(path, _IS[0], "it holds other arrays", _IS[1])
    try:
        return _fields(json.loads(str(arrays[_TOLD])), arrays)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise files.refusal(path, _IS[0], f"it is damaged: {error}".rstrip("."), _IS[1]) from error


def _fields(told: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    laws = []
    for i, name in enumerate(told.pop("laws")):
        kind = _LAWS[name]
        values = {field.name: arrays[f"law {i} {field.name}"] for field in dataclasses.fields(kind)}
        laws.append(kind(**{name: value if value.ndim else value.item() for name, value in values.items()}))
    told["compute_times"] = [laws[i] for i in told["compute_times"]]
    told["wait"] = laws[told["wait"]["law"]] if isinstance(told["wait"], dict) else told["wait"]
    log = told.pop("log", None)
    if log is None:
        return told
    log["turns"] = tuple(Turns(*arrays[f"turns {i}"]) for i in range(len(log["names"])))
    log["fits"] = tuple(Fit(**{**fit, "law": laws[fit["law"]]}) for fit in log["fits"])
    log["parts"] = Parts(*log["parts"])
    log["seen"], log["symptoms"] = Seen(*log["seen"]), _symptoms(log["symptoms"])
    log["writing"] = None if log["writing"] is None else Writing(*log["writing"])
    log["groups"] = tuple(map(tuple, log["groups"]))
    for name in ("names", "stragglers", "notes"):
        log[name] = tuple(log[name])
    return told | {"calibration": Calibration(**log)}


def _symptoms(values: list[Any]) -> Symptoms:
    symptoms = Symptoms(*values)
    return symptoms if symptoms.modes is None else symptoms._replace(modes=tuple(symptoms.modes))
