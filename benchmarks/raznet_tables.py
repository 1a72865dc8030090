"""RAZ-Net's Tables 2, 3 and 4: what the paper prints beside what a trained model does.

    python benchmarks/raznet_tables.py MODEL --train DATASET --test DATASET
        [--paper A|B|QNRF] [--depth 4] [--theta-pictures N] [--device cpu] [--json FILE]
        [--save FILE]

MODEL is a file of stage "zoom" (without a zooming network only depth 1 is measured). theta, one
number a cell of the 4 x 4 grid, is estimated on the training pictures for each depth, on N of them
where --theta-pictures is given, and used on the test pictures. --save writes the model with the
theta of its own depth. Each picture goes through whole, as in the paper. "loc_n" looks n times:
loc_1 is Main-Net alone, the paper's RAZ_localization, and loc_2 its RAZ_localization+.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fastcount.data import CountingDataset, open_dataset
from fastcount.files import atomic_write
from fastcount.metrics import CountError, LocalizationAP, PointPR
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.parts.grid_fusion import (
    estimate_theta,
    fuse,
    grid_counts,
    points_per_cell,
)
from fastcount.models.raznet import RAZNet

# Table 4 (whose rows of depth 1 and 2 are Table 2's): MAE and root mean square error.
PAPER = {
    "A": {
        **{"density": (67.5, 109.5), "loc_1": (75.2, 133.0), "loc_2": (71.6, 120.1)},
        **{"loc_3": (70.5, 120.8), "loc_4": (71.4, 124.2), "average_2": (66.5, 111.5)},
        **{"average_3": (65.8, 111.5), "average_4": (66.4, 113.4), "fusion_1": (66.1, 108.4)},
        **{"fusion_2": (65.1, 106.7), "fusion_3": (64.7, 106.6), "fusion_4": (65.3, 108.8)},
    },
    "B": {
        **{"density": (9.6, 15.4), "loc_1": (13.5, 25.4), "loc_2": (9.9, 15.6)},
        **{"loc_3": (9.4, 13.3), "loc_4": (9.6, 14.6), "average_2": (8.6, 14.2)},
        **{"average_3": (8.5, 13.5), "average_4": (8.6, 13.7), "fusion_1": (9.5, 15.2)},
        **{"fusion_2": (8.4, 14.1), "fusion_3": (8.5, 13.5), "fusion_4": (8.5, 13.4)},
    },
    "QNRF": {
        **{"density": (126, 208), "loc_1": (135, 246), "loc_2": (118, 198)},
        **{"loc_3": (120, 200), "loc_4": (120, 201), "average_2": (117, 195)},
        **{"average_3": (118, 196), "average_4": (119, 197), "fusion_1": (123, 203)},
        **{"fusion_2": (116, 195), "fusion_3": (118, 195), "fusion_4": (119, 198)},
    },
}
# Table 3: AP.50, AP.75, mAP, mAR by sigma; Main-Net alone, and with the zooming network.
PAPER_AP = {
    "A": {
        40: ((0.739, 0.702, 0.687, 0.803), (0.745, 0.699, 0.691, 0.812)),
        20: ((0.670, 0.597, 0.576, 0.729), (0.667, 0.601, 0.584, 0.741)),
        5: ((0.308, 0.120, 0.147, 0.331), (0.360, 0.205, 0.197, 0.422)),
    },
    "B": {
        40: ((0.742, 0.695, 0.692, 0.809), (0.753, 0.716, 0.710, 0.831)),
        20: ((0.673, 0.622, 0.598, 0.746), (0.687, 0.649, 0.634, 0.784)),
        5: ((0.356, 0.156, 0.181, 0.374), (0.456, 0.281, 0.280, 0.492)),
    },
    "QNRF": {
        40: ((0.558, 0.458, 0.449, 0.604), (0.573, 0.481, 0.462, 0.636)),
        20: ((0.390, 0.252, 0.250, 0.438), (0.414, 0.287, 0.284, 0.483)),
        5: ((0.047, 0.017, 0.021, 0.100), (0.079, 0.031, 0.037, 0.148)),
    },
}
RADII = (4.0, 8.0, 16.0)
console = Console(highlight=False)


@dataclass
class Seen:
    """What the model said of every picture of a data set."""

    truth: list[float] = field(default_factory=list)
    density: list[Tensor] = field(default_factory=list)  # (1, 1, h, w)
    true_grid: list[Tensor] = field(default_factory=list)  # (4, 4)
    located: dict[int, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    places: dict[int, LocalizationAP] = field(default_factory=dict)
    hits: dict[int, PointPR] = field(default_factory=dict)

    def grids(self, depth: int) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 4, 4) each: counts of the density, of the points, of the truth."""
        den = torch.cat([grid_counts(one) for one in self.density])
        loc = torch.cat([grid_counts(one) for one in self.located[depth]])
        return den, loc, torch.stack(self.true_grid)


def look(
    model: RAZNet,
    data: CountingDataset,
    depths: range,
    device: torch.device,
    number: int | None = None,
) -> Seen:
    """Runs every picture, or ``number`` drawn from them, through Main-Net and to every depth."""
    seen = Seen(
        places={d: LocalizationAP() for d in depths}, hits={d: PointPR(RADII) for d in depths}
    )
    drawn = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:number]
    chosen = range(len(data)) if number is None else sorted(drawn.tolist())
    for done, index in enumerate(chosen, start=1):
        sample = data[index]
        points = sample["points"].as_subclass(Tensor).float()
        image = sample["image"].as_subclass(Tensor).to(device).float().div(255)
        with torch.inference_mode():
            output = model(image[None])
            size = (output.density.shape[-2], output.density.shape[-1])
            seen.truth.append(float(sample["count"]))
            seen.density.append(output.density.float().cpu())
            seen.true_grid.append(grid_counts(points_per_cell([points], size, model.stride))[0])
            for depth in depths:
                found = model.locate(output, depth=depth)
                seen.located[depth].append(model.located_map(found, output).cpu())
                where, scores = found[0].points.cpu(), found[0].scores.float().cpu()
                seen.places[depth].update(where, scores, points)
                seen.hits[depth].update(where, points)
        print(f"{done}/{len(chosen)} {data.ids[index]}", file=sys.stderr)
    return seen


def errors(counts: list[float], truth: list[float]) -> tuple[float, float]:
    metric = CountError()
    metric.update(torch.tensor(counts), torch.tensor(truth))
    result = metric.compute()
    return float(result["mae"]), float(result["rmse"])


def rows(seen: Seen, theta: dict[int, Tensor]) -> dict[str, tuple[float, float]]:
    """Table 4's rows by name, and average_1, which the paper leaves out."""
    result = {"density": errors([float(one.sum()) for one in seen.density], seen.truth)}
    always = torch.full((4, 4), torch.inf)
    for depth, located in seen.located.items():
        result[f"loc_{depth}"] = errors([float(one.sum()) for one in located], seen.truth)
    for name in ("average", "fusion"):
        for depth, located in seen.located.items():
            edge = theta[depth] if name == "fusion" else always
            counts = [
                float(fuse(den, loc, edge).sum())
                for den, loc in zip(seen.density, located, strict=True)
            ]
            result[f"{name}_{depth}"] = errors(counts, seen.truth)
    return result


def print_tables(report: dict[str, dict[str, tuple[float, float]]], seen: Seen, paper: str) -> None:
    printed = PAPER.get(paper, {})
    table = Table(title="Tables 2 and 4: mean absolute and root mean square error of the count")
    for column in ("method", "MAE, paper", "MAE, ours", "RMSE, paper", "RMSE, ours"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, (mae, rmse) in report["counts"].items():
        theirs = printed.get(name)
        shown = ("", "") if theirs is None else (f"{theirs[0]:.1f}", f"{theirs[1]:.1f}")
        table.add_row(name, shown[0], f"{mae:.1f}", shown[1], f"{rmse:.1f}")
    console.print(table)
    table = Table(title="Table 3: AP.50, AP.75, mAP, mAR of the points; then precision and recall")
    for column in ("depth", "sigma", "paper", "ours"):
        table.add_column(column)
    for depth, metric in seen.places.items():
        found = metric.compute()
        for sigma in (40, 20, 5):
            known = PAPER_AP.get(paper, {}).get(sigma, ())
            theirs = known[depth - 1] if depth <= len(known) else ()
            keys = ("ap50", "ap75", "ap", "ar")
            ours = " ".join(f"{float(found[f'{key}_{sigma}']):.3f}" for key in keys)
            paper_row = " ".join(f"{value:.3f}" for value in theirs)
            table.add_row(str(depth), str(sigma), paper_row, ours)
        hits = seen.hits[depth].compute()
        for i, radius in enumerate(RADII):
            pair = f"{float(hits['precision'][i]):.3f} {float(hits['recall'][i]):.3f}"
            table.add_row(str(depth), f"within {radius:.0f} px", "", pair)
    console.print(table)


def main(arguments: list[str] | None = None) -> dict[str, dict[str, tuple[float, float]]]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--train", required=True, help="where theta is estimated")
    parser.add_argument("--test", required=True)
    parser.add_argument("--paper", default="", choices=["", *PAPER])
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--theta-pictures", type=int, help="of --train, for theta; all by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="write the numbers there, too")
    parser.add_argument("--save", help="write the model with its theta there")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    model = load_model(options.model, device)
    if not isinstance(model, RAZNet) or model.stage in ("counting", "localization"):
        parser.error(f"{options.model} is no RAZ-Net of stage attention, main or zoom")
    depths = range(1, (options.depth if model.zoom else 1) + 1)
    learned = look(model, open_dataset(options.train), depths, device, options.theta_pictures)
    theta = {depth: estimate_theta(*learned.grids(depth)) for depth in depths}
    seen = look(model, open_dataset(options.test), depths, device)
    report = {"counts": rows(seen, theta)}
    print_tables(report, seen, options.paper)
    if options.json:
        with atomic_write(options.json, "w") as file:
            json.dump(report, file, indent=1)
    if options.save:
        if model.depth not in theta:
            parser.error(f"--save: the model's depth is {model.depth}; give --depth of as much")
        model.theta.copy_(theta[model.depth])
        save_model(model, options.save)
    return report


if __name__ == "__main__":
    main()
