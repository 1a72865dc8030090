"""Measures a trained model and puts it, with its card, among the shipped ones.

python recipes/ship.py runs/crowd/crowd.safetensors --about "People in photographs" \
    --terms "..." --measure "ShanghaiTech A test=shanghaitech:/data/...?part=A&split=test"
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fastcount.export import Options, export_onnx
from fastcount.export.pictures import sample_pictures
from fastcount.files import atomic_write
from fastcount.models.checkpoint import load_model, save_model
from fastcount.runtime.description import sidecar
from fastcount.shipped import FOLDER

LARGEST = 12_000_000  # bytes; the package carries its models


def measure(model: Path, dataset: str) -> dict[str, Any]:
    """The errors of ``model`` on ``dataset``, by the command that users have."""
    command = [sys.executable, "-m", "fastcount", "eval", str(model), dataset, "--json"]
    report: dict[str, Any] = json.loads(subprocess.check_output(command))
    kept = {key: round(report[key], 3) for key in ("mae", "rmse", "bias")}
    if "game" in report:
        kept["game"] = [round(level, 2) for level in report["game"]]
    if "coverage" in report:
        kept["coverage"] = [round(share, 3) for share in report["coverage"]]
    return {"n": report["n"], **kept}


def card_as_text(card: dict[str, Any]) -> str:
    """The card as Markdown, for people."""
    start = f", which goes on from `{card['start']}`" if card.get("start") else ""
    lines = [
        f"# `{card['name']}`",
        "",
        card["about"],
        "",
        f"- Terms: {card['terms']}",
        f"- Made by: `{card['command']}`{start} at commit `{card['commit']}`, seed {card['seed']}, "
        f"{card['steps']} steps, {card['date']}, torch {card['torch']}",
        "- Pictures trained on: "
        + "; ".join(f"{count} of `{name}`" for name, count in card["pictures"].items()),
        "",
        f"Measured on {card['measured']} with `fastcount eval`; none of these pictures was "
        "trained on or used to choose anything:",
        "",
    ]
    more = {
        "game": ("GAME(1)", "GAME(2)", "GAME(3)"),
        "coverage": ("within 1 std", "within 2 std"),
    }
    rows = card["results"]
    told = [key for key in more if all(key in row for row in rows.values())]
    titles = ["pictures", "n", "MAE", "RMSE", "bias", *(each for key in told for each in more[key])]
    lines += [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for name, row in rows.items():
        cells = [name, row["n"], f"{row['mae']:.2f}", f"{row['rmse']:.2f}", f"{row['bias']:+.2f}"]
        if "game" in told:
            cells += [f"{level:.1f}" for level in row["game"][1:]]
        if "coverage" in told:
            cells += [f"{share:.2f}" for share in row["coverage"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--about", required=True)
    parser.add_argument("--terms", required=True)
    parser.add_argument("--measure", action="append", default=[], metavar="LABEL=DATASET")
    arguments = parser.parse_args()

    model = load_model(arguments.model)
    card = dict(model.card)
    card["about"], card["terms"] = arguments.about, arguments.terms
    card["measured"] = time.strftime("%Y-%m-%d")
    card["results"] = {}
    for entry in arguments.measure:
        label, _, dataset = entry.partition("=")
        card["results"][label] = measure(arguments.model, dataset)
        print(label, card["results"][label])
    target = FOLDER / f"{card['name']}.safetensors"
    target.parent.mkdir(exist_ok=True)
    save_model(model, target, card=card)
    size = target.stat().st_size
    if size > LARGEST:
        sys.exit(f"{target}: {size} bytes are more than the {LARGEST} that the package carries")
    with atomic_write(target.with_suffix(".md")) as file:
        file.write(card_as_text(card).encode())
    exported = target.with_suffix(".onnx")
    export_onnx(load_model(target), exported, sample_pictures(), Options())
    sidecar(exported).unlink()  # says nothing that the file itself does not
    print(f"wrote {target}, {size / 1e6:.1f} MB, and {exported.name}")


if __name__ == "__main__":
    main()
