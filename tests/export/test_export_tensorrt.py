"""The TensorRT path as far as it can be tried without TensorRT: its names, and what it says."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fastcount.export import tensorrt as exporter
from fastcount.export.parity import TOLERANCES, Parity
from fastcount.export.run import Written
from fastcount.runtime import Tiling, tensorrt_engine
from fastcount.runtime.description import Description, Zoom

# What a variable or attribute of ours holds: the class of TensorRT's that it is an object of.
CLASSES = {
    "logger": "Logger",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "runtime": "Runtime",
    "_runtime": "Runtime",
    "engine": "ICudaEngine",
    "inspector": "EngineInspector",
    "_context": "IExecutionContext",
}
VERSIONS = ("10.13", "11.4")
# The symbols that the Python module wants of each library.
SYMBOLS = {
    "nvinfer": (
        *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL"),
        *("createInferRuntime_INTERNAL", "getBuilderPluginRegistry", "getPluginRegistry"),
    ),
    "nvonnxparser": (
        *("createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL"),
        "getNvOnnxParserVersion",
    ),
    "nvinfer_plugin": ("initLibNvInferPlugins",),
}
CHECK = """
import sys
import tensorrt_bindings

missing = []
for name in sys.argv[1:]:
    found = tensorrt_bindings
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        missing.append(name)
print(tensorrt_bindings.__version__, *missing)
"""


def names_used() -> set[str]:
    """Every name of TensorRT's in our code, from its class on."""
    names = set()
    for module in (exporter, tensorrt_engine):
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            text = ast.unparse(node)
            owner = text.rpartition(".")[0].removeprefix("self.")
            if text.startswith("trt."):
                names.add(text.removeprefix("trt."))
            elif owner in CLASSES:
                names.add(f"{CLASSES[owner]}.{node.attr}")
    return names


def bindings() -> list[Path]:
    """Folders that hold ``tensorrt_bindings``, unpacked wheels of several versions.

    ``make test`` unpacks them beside the environment's packages.
    """
    named = os.environ.get("FASTCOUNT_TENSORRT_BINDINGS")
    if named:
        return [Path(folder) for folder in named.split(os.pathsep)]
    return sorted(path for path in Path(sys.prefix, "tensorrt").glob("*") if path.is_dir())


def stub_libraries(folder: Path, major: str) -> None:
    """Libraries of TensorRT's names that do nothing: enough to import its Python module."""
    for library, symbols in SYMBOLS.items():
        source = folder / f"{library}.c"
        source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in symbols))
        name = f"lib{library}.so.{major}"
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", name, source.name]
        subprocess.run(command, cwd=folder, check=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_is_in_the_module(version: str, tmp_path: Path) -> None:
    folders = {
        info.name.split("-")[1]: folder
        for folder in bindings()
        for info in folder.glob("tensorrt_cu*_bindings-*.dist-info")
    }
    folder = next((each for name, each in folders.items() if name.startswith(version)), None)
    if folder is None:
        pytest.skip(
            f"no tensorrt_bindings {version}: `make test` fetches them; or pip download --no-deps "
            f"'tensorrt-cu13-bindings=={version}.*', unpack the wheel and name its folder in "
            "FASTCOUNT_TENSORRT_BINDINGS"
        )
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    major = version.partition(".")[0]
    stub_libraries(tmp_path, major)
    environment = {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, *sorted(names_used()), "No.such_name"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    found, *missing = done.stdout.split()
    assert found.startswith(version)
    assert missing == ["No.such_name"]


def test_the_names_are_found_in_our_code() -> None:
    names = names_used()
    assert {
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "OnnxParser.parse_from_file",
        "IBuilderConfig.set_timing_cache",
        "IOptimizationProfile.set_shape",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.set_tensor_address",
        "ICudaEngine.get_tensor_dtype",
        "nptype",
    } <= names
    removed = ("BuilderFlag", "EXPLICIT_BATCH", "supports_model", "platform_has")
    assert not [name for name in names if any(word in name for word in removed)]


FREE = Description("mcnn", Tiling(tile=(1000, 300), align=16), 4, batch=2)


def test_input_shapes() -> None:
    images = (2, 16, 16, 3), (2, 512, 288, 3), (2, 992, 288, 3)
    assert exporter.input_shapes(FREE) == {"images": images}
    fixed = (2, 64, 96, 3)
    shapes = exporter.input_shapes(replace(FREE, size=(64, 96)))
    assert shapes == {"images": (fixed, fixed, fixed)}


def test_input_shapes_of_parts() -> None:
    for size, depth, most in ((None, 2, (2000, 600)), ((64, 96), 3, (256, 384))):
        shapes = exporter.input_shapes(replace(FREE, size=size, zoom=Zoom(None, depth)))
        usual = tuple(min(512, side) for side in most)
        assert shapes["parts"] == ((2, 2, 2, 3), (2, *usual, 3), (2, *most, 3))


def test_a_plan_that_fell_back_is_an_error() -> None:
    half = replace(FREE, precision="fp16")
    exporter.check_precision('{"Format/Datatype": "Half"}', half)
    exporter.check_precision('{"Format/Datatype": "Int8"}', replace(FREE, precision="int8"))
    with pytest.raises(RuntimeError, match="without any fp16 layer"):
        exporter.check_precision('{"Format/Datatype": "Float"}', half)


def test_what_is_missing_is_told() -> None:
    written = Written(Path("crowd.onnx"), Parity((), TOLERANCES["fp32"]))
    message = str(exporter.TensorrtMissing(["tensorrt", "pycuda"], written))
    for part in ("tensorrt and pycuda", "pip install tensorrt-cu13", "NVIDIA GPU", "crowd.onnx"):
        assert part in message
