"""What an exported file says to whoever runs it without this package."""

from __future__ import annotations

from collections.abc import Sequence

from fastcount.runtime.description import KEY, Description

_OUTPUTS = {
    "count": "objects in the picture",
    "std": "standard error of the count",
    "density": "objects a cell of {stride} x {stride} pixels",
    "per_class": "the count of each class",
    "boxes": "x1, y1, x2, y2 in pixels; the top-left pixel covers [0, 1] x [0, 1]",
    "points": "x, y in pixels; the centre of the top-left pixel is (0, 0)",
    "scores": "one a point or box, falling",
    "labels": "the class of each point or box, from 0 on",
    "found": "how many there are: the first so many points or boxes are objects, the others blank; "
    "there was no room for all where it is more than their number, and there is no count where it "
    "is below 0",
}


def manual(description: Description, outputs: Sequence[str]) -> str:
    """Plain sentences about the input and the ``outputs`` of the file so described."""
    tiling, size = description.tiling, description.size
    lines = ["images: (batch, height, width, 3) uint8 RGB, upright, as a picture file has it."]
    if size is None:
        lines.append(f"Height and width are multiples of {tiling.align}.")
    else:
        lines.append(f"Height and width are {size[0]} and {size[1]}.")
    if tiling.mode == "resize":
        height, width = tiling.tile
        lines.append(f"Scale a picture in proportion to the largest size within {height}x{width}.")
    fill = ", ".join(map(str, tiling.fill))
    lines.append(f"Fill up what is missing at the right and at the bottom with ({fill}).")
    lines += [
        f"{name}: {_OUTPUTS[name].format(stride=description.stride)}."
        for name in outputs
        if name in _OUTPUTS
    ]
    if description.overlap is not None:
        lines.append(
            "Of two boxes of one class whose intersection over union is more than "
            f"{description.overlap:g} leave out the one with the lower score; the rest are counted."
        )
    if description.zoom is not None:
        lines.append("The second network, for enlarged parts of a picture, is fastcount's affair.")
    lines.append(f'The metadata "{KEY}" is a JSON document that says all this to a program.')
    return "\n".join(lines)
