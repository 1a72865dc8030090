"""Counting with OpenVINO."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from box_network import DESCRIPTION, PICTURE, expected_density, write

import fastcount
from fastcount.runtime import openvino_engine
from fastcount.runtime.description import Description, sidecar

openvino = pytest.importorskip("openvino")


def convert(folder: Path, description: Description = DESCRIPTION) -> Path:
    path = folder / "boxes.xml"
    openvino.save_model(openvino.Core().read_model(write(folder / "boxes.onnx", description)), path)
    sidecar(path).write_text(description.to_json(), encoding="utf-8")
    return path


@pytest.mark.parametrize("size", [None, (80, 104)])
def test_counts_as_numpy_does(tmp_path: Path, size: tuple[int, int] | None) -> None:
    counter = fastcount.load(convert(tmp_path, replace(DESCRIPTION, size=size, batch=2)), "cpu")
    counting = counter(PICTURE)
    np.testing.assert_allclose(counting.density, expected_density(PICTURE), rtol=1e-4)
    assert counting.count == pytest.approx(expected_density(PICTURE).sum(), rel=1e-4)
    assert (counter.name, counter.engine.classes) == ("boxes", ("spot",))


def test_several_threads_count_with_one_counter(tmp_path: Path) -> None:
    counter = fastcount.load(convert(tmp_path, replace(DESCRIPTION, batch=None)), "cpu")
    pictures = [np.ascontiguousarray(PICTURE[: 30 + 8 * number]) for number in range(4)]
    expected = [counter(picture).count for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda picture: counter(picture).count, pictures * 50))
    assert found == expected * 50


def test_bfloat16_only_where_the_cpu_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = convert(tmp_path, replace(DESCRIPTION, precision="bf16"))
    hinted: list[str] = []
    real = openvino.Core.compile_model

    def compile_model(core: object, model: object, place: str, config: dict[str, str]) -> object:
        hinted.append(config["INFERENCE_PRECISION_HINT"])
        return real(core, model, place, {"INFERENCE_PRECISION_HINT": "f32"})

    monkeypatch.setattr(openvino.Core, "compile_model", compile_model)
    for has in (False, True):
        monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda core, has=has: has)
        fastcount.load(path, "cpu")
    assert hinted == ["f32", "bf16"]


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model file .*x\.xml"):
        fastcount.load(tmp_path / "x.xml")
    path = convert(tmp_path)
    with pytest.raises(ValueError, match=r"device: OpenVINO knows CPU.*got 'cuda'"):
        fastcount.load(path, device="cuda")
    path.write_text("nothing")
    with pytest.raises(ValueError, match=r"boxes\.xml cannot be run by OpenVINO"):
        fastcount.load(path)
    sidecar(path).unlink()
    with pytest.raises(ValueError, match="without its description"):
        fastcount.load(path)
