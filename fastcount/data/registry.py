"""Data sets by name: ``open_dataset("shanghaitech:PATH?part=A&split=train")``."""

from __future__ import annotations

import inspect
import types
import typing
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union
from urllib.parse import parse_qsl

from fastcount.data.base import CountingDataset
from fastcount.data.folds import Fold, parse_fold

_FOLDS = ("fold", "not_fold")
# Readers are imported when first asked for: nobody pays for the formats of others.
_READERS = {
    "ara2013_rosettes": "rosettes:AraRosettes",
    "bbbc039": "instance_masks:InstanceMasks",
    "bccd": "voc:BCCD",
    "coco": "coco:COCO",
    "coco_count": "coco:COCOCount",
    "crohd": "mot:CroHD",
    "crowdhuman": "crowdhuman:CrowdHuman",
    "csv": "csv_points:CSVPoints",
    "cvppp_lcc": "rosettes:CVPPPLeafCounting",
    "discs": "discs:Discs",
    "gta_head": "mot:GTAHead",
    "instance_masks": "instance_masks:InstanceMasks",
    "json": "json_points:JSONPoints",
    "labelme": "labelme:LabelMe",
    "maize": "maize:Maize",
    "mall": "mall:Mall",
    "mbm": "mbm:MBM",
    "night_skies": "night_skies:NightSkies",
    "nuclei": "nuclei:Nuclei",
    "scut_head": "voc:SCUTHead",
    "shanghaitech": "shanghaitech:ShanghaiTech",
    "synthetic": "synthetic:Synthetic",
    "textures": "textures:Textures",
    "ucf_qnrf": "ucf_qnrf:UCFQNRF",
    "vgg_cells": "vgg_cells:VGGCells",
    "voc": "voc:VOC",
    "voc_count": "voc:VOCCount",
    "yolo": "yolo:YOLO",
}


def list_datasets() -> tuple[str, ...]:
    """The names that :func:`open_dataset` knows."""
    return tuple(sorted(_READERS))


def open_dataset(spec: str) -> CountingDataset:
    """The data set that ``"NAME:PATH?OPTION=VALUE&..."`` names.

    ``PATH`` is the folder (or file) as unpacked, ``~`` meaning home; options are the keyword
    arguments of the reader, numbers and true/false as written, other characters than letters
    and digits percent-encoded where needed. Besides those of its reader every data set has
    ``fold=2/4``, the second of four folds, and ``not_fold=2/4``, the other three; see
    :class:`~fastcount.data.folds.Fold`. Raises ``ValueError`` for an unknown name or option,
    listing those that exist, and :class:`DatasetError` where the files are not as expected.
    """
    head, _, query = spec.partition("?")
    name, colon, path = head.partition(":")
    if name not in _READERS or not colon:
        raise ValueError(
            f"no data set {spec!r}: write NAME:PATH?option=value&... with NAME one of "
            f"{', '.join(list_datasets())}"
        )
    module, _, attribute = _READERS[name].partition(":")
    reader = getattr(import_module(f"fastcount.data.{module}"), attribute)
    options = _options(name, reader, query)
    folds = {key: parse_fold(options.pop(key)) for key in _FOLDS if key in options}
    dataset: CountingDataset = reader(Path(path).expanduser(), **options)
    for key, (number, count) in folds.items():
        dataset = Fold(dataset, number, count, others=key == "not_fold")
    return dataset


def _options(name: str, reader: type[CountingDataset], query: str) -> dict[str, Any]:
    """The query of a spec as keyword arguments of its reader, each in its declared type."""
    hints = typing.get_type_hints(reader.__init__)
    known = {
        parameter.name: hints[parameter.name]
        for parameter in inspect.signature(reader).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    } | dict.fromkeys(_FOLDS, str)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ValueError(f"options {query!r} of {name}: write option=value&...") from error
    options: dict[str, Any] = {}
    for key, text in pairs:
        if key not in known:
            raise ValueError(f"{name} has no option {key!r}; it has {', '.join(sorted(known))}")
        if key in options:
            raise ValueError(f"option {key!r} of {name} is given twice")
        options[key] = _convert(f"{name}: {key}", known[key], text)
    return options


def _convert(what: str, hint: Any, text: str) -> Any:
    """``text`` in the type of a parameter: a literal, bool, int, float, str, or one of a union."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        for choice in choices:
            if str(choice) == text:
                return choice
        raise ValueError(f"{what} must be one of {', '.join(map(str, choices))}, not {text!r}")
    if origin in (Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return _convert(what, members[0], text)
    if hint is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"{what} must be true or false, not {text!r}")
        return text.lower() in ("true", "1")
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            kind = "a whole number" if hint is int else "a number"
            raise ValueError(f"{what} must be {kind}, not {text!r}") from None
    return text
