"""DeepCount's Tables 5, 6 and 7: what the paper prints beside what this build counts and runs.

    python benchmarks/bench_deepcount_tables.py [--device cpu] [--seconds 10] [--no-fps]

Multiply-accumulates (the paper's "FLOPs", its eq. 7) and parameters are exact and need no
arithmetic. Frames a second are measured for CSRNet and DeepCount's backbone in turn, in one run,
as they stand and with channels-last memory: batch 1, 384x512, float32, random weights.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from fastcount.models import create_model
from fastcount.models.profile import Profile, profile_model

SIZE = (384, 512)
CSRNET = (7248, 7248, 7248, 3624, 906, 226, 0.2)
BRANCH_1 = (37, 101, 403, 1611, 6442, 2)
BACKBONE = (3624, 906, 906, 226, 226, 57, 57, 14, 14, 3, 0.001)
TABLE_7 = {1: 6034, 2: 2152, 3: 541, 4: 138, 5: 38}
console = Console(highlight=False)


def profiles() -> tuple[Profile, Profile, Profile]:
    """CSRNet, DeepCount with all branches, DeepCount's backbone; shapes only."""
    with torch.device("meta"):
        return (
            profile_model(create_model("csrnet"), SIZE),
            profile_model(create_model("deepcount"), SIZE),
            profile_model(create_model("deepcount", branches=()), SIZE),
        )


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.3g}"


def table_5(csrnet: Profile, full: Profile, backbone: Profile) -> None:
    parts = (
        ("CSRNet back end", csrnet, "back_end.", CSRNET),
        ("DeepCount branch 1", full, "branches.1.", BRANCH_1),
        ("DeepCount back end", backbone, "", BACKBONE),
    )
    for title, profile, prefix, printed in parts:
        table = Table(title=f"Table 5: {title}, million multiply-accumulates", show_footer=True)
        layers = [
            layer
            for layer in profile.layers
            if layer.name.startswith(prefix) and not layer.name.startswith("backbone.")
        ]
        table.add_column("layer", "sum")
        table.add_column("output CxHxW")
        table.add_column("paper", number(sum(printed)), justify="right")
        table.add_column("ours", number(sum(x.mmacs for x in layers)), justify="right")
        for layer, paper in zip(layers, printed, strict=True):
            shape = "x".join(map(str, layer.output))
            table.add_row(layer.name, shape, number(paper), number(layer.mmacs))
        console.print(table)


def table_7(full: Profile) -> None:
    table = Table(title="Table 7: the branches, million multiply-accumulates")
    for column in ("branch", "paper", "ours"):
        table.add_column(column, justify="right")
    for k, paper in TABLE_7.items():
        ours = full.part(f"branches.{k}")
        table.add_row(str(k), number(paper) + ("*" if k == 1 else ""), number(ours))
    console.print(table)
    console.print(
        "* a misprint: 6,034 is the backbone's own sum, of Table 5's last column before rounding. "
        f"Table 5's layers of branch 1 add up to {number(sum(BRANCH_1))}, as ours do."
    )


def table_6(csrnet: Profile, backbone: Profile, fps: dict[str, dict[str, float]]) -> None:
    table = Table(title="Table 6, and whole networks at 384x512")
    for column in ("", "CSRNet", "DeepCount (inference)", "ratio"):
        table.add_column(column, justify="right")
    table.add_row("million parameters, paper", "16.3", "21.4", "")
    table.add_row(
        "million parameters, ours", f"{csrnet.params / 1e6:.2f}", f"{backbone.params / 1e6:.2f}", ""
    )
    ratio = csrnet.mmacs / backbone.mmacs
    table.add_row(
        "million MACs, ours", number(csrnet.mmacs), number(backbone.mmacs), f"{ratio:.2f}x"
    )
    table.add_row("frames/s, paper (Tesla P40)", "33", "45", "1.4x")
    for layout, measured in fps.items():
        rival, ours = measured["csrnet"], measured["deepcount"]
        table.add_row(
            f"frames/s, ours, {layout}", f"{rival:.2f}", f"{ours:.2f}", f"{ours / rival:.2f}x"
        )
    console.print(table)


def frames_per_second(device: torch.device, seconds: float) -> dict[str, dict[str, float]]:
    """By memory layout and model, from the median time of a picture; models take turns."""
    result = {}
    for layout, memory in (
        ("eager", torch.contiguous_format),
        ("channels last", torch.channels_last),
    ):
        models = {
            "csrnet": create_model("csrnet"),
            "deepcount": create_model("deepcount", branches=()),
        }
        networks = {
            name: model.eval().to(device).to(memory_format=memory) for name, model in models.items()
        }
        images = torch.rand(1, 3, *SIZE, device=device).to(memory_format=memory)
        times: dict[str, list[float]] = {name: [] for name in networks}
        with torch.inference_mode():
            for network in networks.values():
                network(images)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end or len(times["csrnet"]) < 3:
                for name, network in networks.items():
                    times[name].append(once(network, images))
        result[layout] = {name: 1 / statistics.median(one) for name, one in times.items()}
    return result


def once(network: nn.Module, images: torch.Tensor) -> float:
    """Seconds of one pass, the device idle before and after."""
    wait_for(images.device)
    start = time.perf_counter()
    network(images)
    wait_for(images.device)
    return time.perf_counter() - start


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=10.0, help="per memory layout")
    parser.add_argument("--no-fps", action="store_true", help="count only, measure nothing")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    csrnet, full, backbone = profiles()
    table_5(csrnet, full, backbone)
    fps = {} if arguments.no_fps else frames_per_second(device, arguments.seconds)
    table_6(csrnet, backbone, fps)
    if fps:
        console.print(f"measured on {machine(device)}, PyTorch {torch.__version__}")
    table_7(full)


if __name__ == "__main__":
    main()
