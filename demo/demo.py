"""Counts what is in real pictures and shows it: `make demo`, `make demo IMAGES=path`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from skimage import data

import fastcount
from fastcount.files import atomic_path, atomic_write
from fastcount.pictures import SUFFIXES, PictureError, open_picture

# Pictures inside an installed scikit-image, the shipped model for each, what a person counts.
BUILT_IN = (
    ("astronaut.png", "crowd", "1 person"),
    ("rocket.jpg", "crowd", "nobody"),
    ("coffee.png", "crowd", "nobody"),
    ("brick.png", "crowd", "nobody"),
    ("gravel.png", "crowd", "nobody"),
    ("coins.png", "cells", "24 coins"),
)


def find_pictures(paths: list[Path]) -> list[Path]:
    """Files as they are, folders as the pictures in them."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [p for p in inside if not path.is_dir() or p.suffix.lower() in SUFFIXES]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*", type=Path, help="your own pictures or folders")
    parser.add_argument("--model", default="crowd", help="the shipped model for your own")
    parser.add_argument("--out", type=Path, default=Path("out"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    folder = Path(data.__file__).parent
    jobs = [(folder / name, model, truth) for name, model, truth in BUILT_IN]
    jobs += [(path, arguments.model, "") for path in find_pictures(arguments.images)]
    counters = {model: fastcount.load(model) for model in {model for _, model, _ in jobs}}

    table = Table("picture", "model", "count", "a person counts", "seconds")
    results = []
    console = Console()
    with console.status("counting ...") as status:
        for number, (path, model, truth) in enumerate(jobs):
            status.update(f"counting {path.name}")
            started = time.perf_counter()
            try:
                picture = open_picture(path)
            except (PictureError, OSError) as error:
                results.append({"path": str(path), "error": str(error)})
                table.add_row(path.name, model, "-", str(error), "-")
                continue
            counting = counters[model](picture)
            seconds = time.perf_counter() - started
            overlay = arguments.out / f"{number:02d}-{path.stem}.png"
            with atomic_path(overlay) as temporary:
                counting.overlay(picture).save(temporary, format="PNG")
            results.append({"path": str(path), "model": model, **counting.to_dict()})
            table.add_row(path.name, model, f"{counting.count:.1f}", truth, f"{seconds:.2f}")
    with atomic_write(arguments.out / "results.json") as file:
        file.write(json.dumps(results, indent=1).encode())
    console.print(table)
    console.print(f"Overlays and results.json are in {arguments.out}/")


if __name__ == "__main__":
    main()
