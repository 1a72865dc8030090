"""The one file that describes a training run."""

from __future__ import annotations

import os
import re
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from fastcount.models.neighbour_sigma import NeighbourSigma

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One data set of the training mixture.

    ``weight``: its share of the crops. ``scale``: range of the random resizing, drawn evenly in
    the logarithm. ``validate``: whether some of its pictures are kept for validation.
    """

    dataset: str
    weight: float = 1.0
    scale: tuple[float, float] = (0.7, 1.4)
    validate: bool = True


@dataclass(frozen=True)
class Augment:
    """Random changes to a crop besides its place and scale.

    ``transpose``: rows and columns exchanged, of square crops only; with both flips, all eight
    ways to lay a crop down. ``rotation``: greatest angle in degrees, of whole pictures only.
    """

    flip: bool = True
    vertical_flip: bool = False
    transpose: bool = False
    rotation: float = 0.0
    brightness: float = 0.2
    contrast: float = 0.2
    grey: float = 0.1


@dataclass(frozen=True)
class Config:
    """A training run; every field is a key of the YAML file.

    ``model``: the registered name and its arguments. ``start``: a model of that name whose
    weights the run begins from: a file, an earlier run in the same ``output``, or a shipped one.
    ``validation``: share of the training pictures kept for choosing the checkpoint, by hash of
    their content and ``validation_seed``, which runs that go on from each other share.
    ``holdout``: data sets whose pictures are dropped from training wherever the
    same content turns up. ``sigma_knn``: kernel widths from the distance to neighbours, see
    :class:`~fastcount.models.neighbour_sigma.NeighbourSigma`; absent: the model's own.
    ``calibrate``: scale the trained model's counts by the factor that is best on the validation
    pictures, and its standard deviations, where it has them, to the errors left there; rendered
    pictures count for that only where there are no others.
    ``crop``: (height, width) of the crops in pixels; a model that takes pictures whole is trained
    on whole ones, of the size that it takes them at.
    ``batch_size``: crops a step and device. ``steps``: of the optimiser; every ``validate_every``
    of them, and after the last, the validation pictures are counted and a checkpoint is written.
    ``optimizer``: ``adamw``, whose ``weight_decay`` is apart from the gradient, ``adam`` or ``sgd``
    with ``momentum``, whose is part of it. ``lr``: learning rate, ``backbone_lr`` that of the
    backbone's weights, both rising evenly over ``warmup`` steps, then, by ``schedule``, falling
    along half a ``cosine`` to 1 % or ``constant``. ``gradient_clip``: greatest norm of the
    gradient, 0 for any. ``ema``: decay of the running mean of the weights, which is what is kept; 0
    for none. ``precision``: as Lightning names it. ``seed``: of weights, crops and all else that is
    drawn. ``workers``: processes that read pictures. ``threads``: of PyTorch on a CPU. ``devices``,
    ``accelerator``: how many of what to train on. ``output``: the folder of the runs' folders.
    """

    name: str
    model: dict[str, Any]
    train: tuple[Part, ...]
    start: str | None = None
    holdout: tuple[str, ...] = ()
    validation: float = 0.1
    validation_seed: int = 0
    crop: tuple[int, int] = (320, 320)
    batch_size: int = 8
    steps: int = 10_000
    validate_every: int = 500
    lr: float = 5e-4
    backbone_lr: float = 1e-4
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: int = 200
    gradient_clip: float = 1.0
    ema: float = 0.999
    precision: str = "32-true"
    seed: int = 0
    workers: int = 0
    threads: int | None = None
    devices: int = 1
    accelerator: str = "auto"
    output: str = "runs"
    sigma_knn: NeighbourSigma | None = None
    calibrate: bool = False
    augment: Augment = field(default_factory=Augment)


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """Reads a run's YAML file; ``overrides`` are ``key=value`` with YAML values.

    ``$NAME`` and ``${NAME}`` in strings stand for environment variables. Raises ``ValueError``
    for an unknown or missing key, a value of the wrong kind or an unset variable.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not UTF-8, byte {error.start} is {error.object[error.start]:#04x}; save it "
            "as UTF-8"
        ) from None
    except Exception as error:  # PyYAML's, and what its tags for numbers and dates raise
        raise ValueError(f"{path}: not YAML: {error}") from None
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: expected keys and values, got {type(raw).__name__}")
    for override in overrides or []:
        key, sign, value = override.partition("=")
        if not sign:
            raise ValueError(f"override {override!r}: expected key=value")
        try:
            raw[key] = yaml.safe_load(value)
        except Exception as error:  # as above
            raise ValueError(f"override {override!r}: the value is not YAML: {error}") from None
    config = _build(Config, _expand(raw, path), str(path))
    _check(config, str(path))
    return config


# What has a least value, and what it must stay below.
_LEAST = {
    **dict.fromkeys(("batch_size", "steps", "validate_every", "devices"), 1),
    **dict.fromkeys(("warmup", "workers", "validation", "ema", "momentum", "seed"), 0),
    **dict.fromkeys(("lr", "backbone_lr", "weight_decay", "gradient_clip"), 0),
}
_BELOW = {"validation": 1, "ema": 1, "momentum": 1, "seed": 2**32}


def _check(config: Config, where: str) -> None:
    """Raises ``ValueError`` for what nothing can be trained with."""
    if Path(config.name).name != config.name or config.name in ("", ".."):
        raise ValueError(f"{where}: name must be a plain file name, got {config.name!r}")
    for name, least in _LEAST.items():
        value = getattr(config, name)
        if not value >= least:
            raise ValueError(f"{where}: {name} must be at least {least}, got {value}")
        if name in _BELOW and not value < _BELOW[name]:
            raise ValueError(f"{where}: {name} must be below {_BELOW[name]}, got {value}")
    if config.validation == 0 and any(part.validate for part in config.train):
        raise ValueError(
            f"{where}: validation must be above 0, got {config.validation}; to train on all "
            "pictures, give every data set of train validate: false"
        )
    if config.threads is not None and config.threads < 1:
        raise ValueError(f"{where}: threads must be at least 1, got {config.threads}")
    if min(config.crop) < 1:
        raise ValueError(f"{where}: crop must be at least 1 pixel a side, got {config.crop}")
    if "name" not in config.model:
        raise ValueError(f"{where}: model: names no model; give name: density_fpn, say")
    if not config.train:
        raise ValueError(f"{where}: train: names no data set")
    for number, part in enumerate(config.train):
        if not 0 < part.scale[0] <= part.scale[1]:
            raise ValueError(
                f"{where}: train[{number}]: scale must be [low, high] with 0 < low <= high, "
                f"got {list(part.scale)}"
            )
        if not part.weight > 0:
            raise ValueError(
                f"{where}: train[{number}]: weight must be above 0, got {part.weight}; "
                "leave the data set out"
            )
    knn = config.sigma_knn
    if knn is not None and not (knn.k >= 1 and min(knn.beta, knn.low, knn.lone) > 0):
        raise ValueError(f"{where}: sigma_knn needs k >= 1, beta, low and lone > 0, got {knn}")
    if knn is not None and not knn.low <= knn.high:
        raise ValueError(f"{where}: sigma_knn needs low <= high, got {knn}")


def _expand(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return {k: _expand(v, path) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, path) for v in value]
    if isinstance(value, str):
        expanded = os.path.expandvars(value)
        unset = re.search(r"\$\{?(\w+)\}?", expanded)
        if unset:
            raise ValueError(
                f"{path}: the environment variable {unset[1]} is not set; "
                f"run with {unset[1]}=/path/to/it"
            )
        return expanded
    return value


def _build(cls: type[T], raw: dict[str, Any], where: str) -> T:
    assert is_dataclass(cls)
    known = {f.name: f for f in fields(cls)}
    unknown = set(raw) - set(known)
    if unknown:
        raise ValueError(
            f"{where}: unknown key {min(unknown, key=str)!r}; the keys are {', '.join(known)}"
        )
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, spec in known.items():
        if name not in raw:
            if spec.default is MISSING and spec.default_factory is MISSING:
                raise ValueError(f"{where}: the key {name!r} is missing")
            continue
        values[name] = _convert(raw[name], hints[name], f"{where}: {name}")
    return cls(**values)


def _convert(value: Any, hint: Any, where: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected keys and values, got {value!r}")
        return _build(hint, value, where)  # type: ignore[arg-type]
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        if value not in arguments:
            raise ValueError(f"{where}: expected one of {', '.join(arguments)}, got {value!r}")
        return value
    if get_origin(hint) is UnionType:  # all of them: something or None
        return None if value is None else _convert(value, arguments[0], where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list, got {value!r}")
        if Ellipsis not in arguments and len(value) != len(arguments):
            raise ValueError(f"{where}: expected {len(arguments)} values, got {len(value)}")
        return tuple(_convert(v, arguments[0], f"{where}[{i}]") for i, v in enumerate(value))
    if hint is float and isinstance(value, str):
        try:  # YAML takes 1e-4 for text
            return float(value)
        except ValueError:
            pass
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{where}: {value!r:.50} is too large") from None
    wrong_bool = isinstance(value, bool) and hint in (int, float)
    if isinstance(hint, type) and (wrong_bool or not isinstance(value, hint)):
        raise ValueError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value
