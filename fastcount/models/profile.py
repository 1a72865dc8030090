"""Parameters and multiply-accumulates of a model, layer by layer.

One multiply-accumulate counts once. A convolution costs H W C K1 K2 C' (DeepCount eq. 7, with H,
W, C of the output, C' input channels a group); a transposed convolution is counted by the same
equation, with its output's H and W, as DeepCount's Table 5 does. That is an upper figure: with
stride s an implementation that skips the inserted zeros does 1/s^2 of it.

Only convolutions, transposed convolutions and linear layers count. Work outside such modules
(attention products, interpolation, pools, norms, activations) is not in the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from rich.table import Table

_Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
_ConvTranspose = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
_COUNTED = _Conv | _ConvTranspose | nn.Linear


@dataclass(frozen=True)
class Layer:
    """One call of a layer: its name, its output's shape, 10^6 MACs and parameters.

    ``output`` is without the batch of one; where a layer took many regions of the picture at
    once, their number leads. A layer called again is a row of its own with ``params`` 0, so that
    columns add up.
    """

    name: str
    output: tuple[int, ...]
    mmacs: float
    params: int


@dataclass(frozen=True)
class Profile:
    """``params``: all parameters of the model. ``mmacs``: 10^6 MACs a picture, all ``layers``.
    ``left_out``: parameters of layers that do not run in the model's ``forward``: the second stage
    of Faster R-CNN and RAZ-Net's second look, which run as often as the picture decides, and the
    branches that RAZ-Net's stage of training leaves alone.
    """

    params: int
    mmacs: float
    layers: tuple[Layer, ...]
    left_out: int = 0

    def part(self, prefix: str) -> float:
        """10^6 MACs of the layers whose name is ``prefix`` or begins with ``prefix.``"""
        chosen = (x for x in self.layers if x.name == prefix or x.name.startswith(f"{prefix}."))
        return sum(layer.mmacs for layer in chosen)

    def to_dict(self) -> dict[str, Any]:
        """``{"params", "left_out", "mmacs", "layers": [{"name", "output", "mmacs", "params"}]}``,
        for JSON."""
        return {
            "params": self.params,
            "left_out": self.left_out,
            "mmacs": self.mmacs,
            "layers": [
                {
                    "name": layer.name,
                    "output": list(layer.output),
                    "mmacs": layer.mmacs,
                    "params": layer.params,
                }
                for layer in self.layers
            ],
        }

    def table(self) -> Table:
        """For a terminal: a row a layer, the totals below."""
        from rich.table import Table

        table = Table(show_footer=True)
        table.add_column("layer", footer="all")
        table.add_column("output")
        table.add_column("million MACs", f"{self.mmacs:,.1f}", justify="right")
        table.add_column("parameters", f"{self.params:,}", justify="right")
        for layer in self.layers:
            table.add_row(
                layer.name,
                "x".join(map(str, layer.output)),
                f"{layer.mmacs:,.3f}",
                f"{layer.params:,}",
            )
        return table


def profile_model(model: nn.Module, size: tuple[int, int]) -> Profile:
    """Runs ``model`` on one black picture of ``size`` (H, W) and counts; see the module's text.

    The picture lies on the device and has the type of the model's parameters. A model built
    under ``torch.device("meta")`` is counted without doing the arithmetic. The model is left as
    it was found. Raises ``ValueError`` for a size below 1, and what ``model`` raises for a size
    that it does not take.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size: need (height, width) of at least 1x1, got {size!r}")
    layers: list[Layer] = []
    seen: set[int] = set()

    def count(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            params = 0 if id(module) in seen else _parameters(module)
            seen.add(id(module))
            shape = tuple(output.shape[1:] if len(output) == 1 else output.shape)
            layers.append(Layer(name, shape, _macs(module, output) / 1e6, params))

        return hook

    training = {module: module.training for module in model.modules()}
    handles = [
        module.register_forward_hook(count(name))
        for name, module in model.named_modules()
        if isinstance(module, _COUNTED)
    ]
    like = next(model.parameters(), torch.empty(0))
    try:
        model.eval()
        with torch.no_grad():
            model(torch.zeros(1, 3, *size, device=like.device, dtype=like.dtype))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    unseen = (m for m in model.modules() if isinstance(m, _COUNTED) and id(m) not in seen)
    return Profile(
        _parameters(model),
        sum(layer.mmacs for layer in layers),
        tuple(layers),
        sum(map(_parameters, unseen)),
    )


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _macs(module: nn.Module, output: Tensor) -> int:
    """Multiply-accumulates of all of ``output``, that of one picture."""
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    assert isinstance(module, _Conv | _ConvTranspose)
    return output.numel() * math.prod(module.kernel_size) * (module.in_channels // module.groups)
