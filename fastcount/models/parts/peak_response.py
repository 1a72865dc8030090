"""Peak back-propagation: which pixels made a peak of a class map (PRM).

Zhou et al., Weakly Supervised Instance Segmentation using Class Peak Response, CVPR 2018. A
walker starts at the peak and goes down through the network; at each convolution, from output v to
input u with the probability

    P(u | v) = a_u W+_uv / n_v,    n_v = sum_u a_u W+_uv

where a >= 0 is the activation of u and W+ the positive part of the weights. Where it arrives in
the picture is the peak's response. Other layers pass it on as their gradient does.

All peaks go down together. To see why no loop is needed: pictures of a batch do not see each
other in evaluation mode, so one backward pass can carry one peak of every picture; and peaks of
one picture differ only in where they start, so their passes are one pass with a further batch
dimension. Slot s of it carries the s-th peak of every picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fastcount.ops.find_peaks import Peaks


def peak_responses(
    network: nn.Module,
    category: Callable[[Tensor], Tensor],
    images: Tensor,
    peaks: Peaks,
    *,
    slots: int = 8,
) -> Tensor:
    """(M, H, W) >= 0: the response of each of M ``peaks`` to the pixels of its picture.

    ``category``: computes the maps (B, C, h, w) that the peaks lie in from ``images`` (B, 3, H,
    W), with the convolutions of ``network``, which must be in evaluation mode. ``peaks``: sorted
    by picture, as :func:`fastcount.ops.find_peaks` gives them. ``slots``: peaks of a picture that
    are carried at once; memory grows with it.

    Raises ``ValueError`` where ``network`` is in training mode.
    """
    if network.training:
        raise ValueError("network: its pictures must not see each other; call network.eval()")
    with torch.inference_mode(False), torch.enable_grad():
        pixels = images.detach().clone().requires_grad_()
        with _positive_convolutions(network):
            maps = category(pixels)
        responses = images.new_zeros(len(peaks.batch), *images.shape[-2:])
        if not len(peaks.batch):
            return responses
        # the s-th peak of its picture: its place in the list less that of the picture's first
        first = torch.searchsorted(peaks.batch, peaks.batch)
        slot = torch.arange(len(first), device=first.device) - first
        x, y = peaks.points.long().unbind(1)
        for start in range(0, int(slot.max()) + 1, slots):
            mine = ((slot >= start) & (slot < start + slots)).nonzero().flatten()
            own = slot[mine] - start
            begin = maps.new_zeros(int(own.max()) + 1, *maps.shape)
            begin[own, peaks.batch[mine], peaks.channel[mine], y[mine], x[mine]] = 1
            (arrived,) = torch.autograd.grad(
                maps, pixels, begin, retain_graph=True, is_grads_batched=True
            )
            responses[mine] = arrived.sum(dim=2).clamp(min=0)[own, peaks.batch[mine]]
    return responses


@contextmanager
def _positive_convolutions(network: nn.Module) -> Iterator[None]:
    """Lets every convolution pass gradients as the walker goes; outputs stay as they are."""
    handles = [
        module.register_forward_hook(_walk)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _walk(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Any:
    """The output's value with the walker's gradient.

    The gradient of conv(x * a, W+) / n with respect to x, a and n held fixed, is a * convT(g / n):
    the walker's step. Its value is taken off again.
    """
    assert isinstance(module, nn.Conv2d)
    (x,) = inputs
    # Activations of a walker are not negative; behind a ReLU they are so already.
    activation = x.detach() - x.detach().amin(dim=(1, 2, 3), keepdim=True).clamp(max=0)
    positive = module.weight.detach().clamp(min=0)
    norm = module._conv_forward(activation, positive, None)
    share = torch.where(norm > 0, 1 / norm.clamp(min=1e-30), torch.zeros_like(norm))
    step = module._conv_forward(x * activation, positive, None) * share
    return output.detach() + (step - step.detach())
