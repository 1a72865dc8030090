"""A model as a PyTorch program: runs under PyTorch, or compiled ahead of time, without our code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from fastcount.export.parity import Picture
from fastcount.export.run import (
    Options,
    Subject,
    Written,
    refuse_bfloat16,
    write_checked,
)
from fastcount.models.base import CountingModel
from fastcount.predict.program_engine import ProgramEngine
from fastcount.runtime.description import KEY


def export_pt2(
    model: CountingModel, path: Path, pictures: Sequence[Picture], options: Options
) -> Written:
    """Writes ``model`` to ``path`` for :func:`torch.export.load`.

    The program takes (B, H, W, 3) uint8 RGB and gives tensors by name, see
    :mod:`fastcount.export.outputs`. Its description is an extra file in it, and lies beside it.
    Arguments, checks and errors are :func:`fastcount.export.export_onnx`'s.
    """
    refuse_bfloat16(options)
    subject = Subject(model, options)
    description = subject.description

    def write(temporary: Path) -> None:
        extra = {KEY: description.to_json()}
        torch.export.save(subject.program, temporary, extra_files=extra)

    return write_checked(
        path, pictures, subject.reference, description, write=write, engine=ProgramEngine
    )
