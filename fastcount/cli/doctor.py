"""``fastcount doctor``."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

import fastcount
from fastcount.cli.messages import FAILED, print_json, print_table

# As in pyproject.toml: what is needed, and what each extra adds.
NEEDED = (
    *("numpy", "onnxruntime", "pillow", "pyyaml", "rich", "safetensors", "scipy", "timm"),
    *("torch", "torchvision", "typer"),
)
EXTRAS = {
    "train": ("lightning", "tensorboard", "torchmetrics", "faster-coco-eval"),
    "export": ("onnx", "onnxscript", "scikit-image"),
    "openvino": ("openvino",),
}
_MODULES = {"pillow": "PIL", "pyyaml": "yaml"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``ok``: True, False for a problem, None where it is merely absent."""

    name: str
    ok: bool | None
    value: str
    cure: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look at the installation, and say what to do about each problem.

    Exit status: 0 sound, 1 something is broken.
    """
    # As fastcount.runtime.quiet_imports does, which may be what cannot be imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    findings = [
        Finding("fastcount", True, fastcount.__version__),
        Finding("python", True, f"{platform.python_version()} on {platform.platform()}"),
        *_packages(),
        *_machine(),
        _native(),
        _counting(),
        *_models(),
    ]
    sound = all(finding.ok is not False for finding in findings)
    if as_json:
        print_json({"ok": sound, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
    if not sound:
        raise typer.Exit(FAILED)


def _packages() -> list[Finding]:
    findings = []
    for name in NEEDED:
        version, problem = _import(name)
        if problem is None:
            findings.append(Finding(name, True, version))
        else:
            cure = f"pip install --force-reinstall {name}"
            findings.append(Finding(name, False, problem, cure))
    for extra, names in EXTRAS.items():
        for name in names:
            try:
                findings.append(Finding(name, True, importlib.metadata.version(name)))
            except importlib.metadata.PackageNotFoundError:
                cure = f"pip install 'fastcount[{extra}]', where it is wanted"
                findings.append(Finding(name, None, "not installed", cure))
    return findings


def _import(name: str) -> tuple[str, str | None]:
    """Its version, and why it cannot be imported, None where it can."""
    try:
        importlib.import_module(_MODULES.get(name, name))
        return importlib.metadata.version(name), None
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return "", (str(error).splitlines() or [repr(error)])[0]


def _machine() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        import torch
    except (ImportError, OSError):
        return [Finding("cpu", True, f"{platform.machine()}, {cores} cores")]
    capability = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    cpu = f"{platform.machine()}, {cores} cores, {threads} threads, {capability}"
    findings = [Finding("cpu", True, cpu)]
    if torch.version.cuda is None:
        cure = "for a GPU, install a torch built for CUDA: https://pytorch.org/get-started/locally"
        findings.append(Finding("cuda", None, "torch is built without CUDA", cure))
    elif not torch.cuda.is_available():
        cure = (
            "nothing, where there is no NVIDIA GPU; else see whether nvidia-smi works and its "
            f"driver is new enough for CUDA {torch.version.cuda}"
        )
        findings.append(Finding("cuda", None, "no GPU can be used", cure))
    else:
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        findings.append(Finding("cuda", True, f"CUDA {torch.version.cuda}: {', '.join(names)}"))
    return findings


def _native() -> Finding:
    try:
        native = importlib.import_module("fastcount.ops.native")
    except (ImportError, OSError) as error:
        value, _, cure = str(error).partition("; ")
        return Finding("native library", False, value, cure or "install fastcount again")
    except RuntimeError as error:  # an operator that the Python side knows is not in it
        cure = "it is older than the package: install fastcount again"
        return Finding("native library", False, str(error).splitlines()[0], cure)
    problem: str | None = native.cuda_error
    if problem is None:
        return Finding("native library", True, "CPU and CUDA kernels")
    value, _, cure = problem.partition("; ")
    return Finding("native library", True, f"CPU kernels; no CUDA kernels: {value}", cure)


def _counting() -> Finding:
    """The library that cuts, scales and stitches, with PyTorch or without."""
    try:
        importlib.import_module("fastcount.runtime.native")
    except (ImportError, OSError) as error:
        value, _, cure = str(error).partition("; ")
        return Finding("native counting", False, value, cure or "install fastcount again")
    return Finding("native counting", True, "needs no torch")


def _models() -> list[Finding]:
    from fastcount.shipped import read_document, shipped_names, shipped_path

    findings = []
    for name in shipped_names():
        try:
            document = read_document(shipped_path(name))
        except (ValueError, ImportError) as error:
            findings.append(Finding(f"model {name}", False, str(error), "install fastcount again"))
        else:
            findings.append(Finding(f"model {name}", True, str(document.get("model"))))
    if not findings:
        cure = "train one with `fastcount train`, then give its file as --model"
        findings.append(Finding("models", None, "none are shipped", cure))
    return findings


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        mark = {True: "ok", False: "BROKEN", None: "-"}[finding.ok]
        table.add_row(mark, finding.name, Text(finding.value))
        if finding.cure:
            table.add_row("", "", Text(f"→ {finding.cure}"))
    print_table(table)
