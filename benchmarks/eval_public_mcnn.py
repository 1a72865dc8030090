"""Error of public MCNN weights on ShanghaiTech: a check of reader, metric and model at once.

    python benchmarks/eval_public_mcnn.py mcnn_shtechA_660.h5 PATH/shanghaitech --part A

Their authors' weights are known to give MAE 109.8, RMSE 167.5 on the whole test set of part A
(182 pictures) and 25.3, 43.9 on that of part B (316). A copy with fewer test pictures gives
other numbers; ``n`` says how many were there. Needs ``fastcount[convert]``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from fastcount.data import open_dataset
from fastcount.metrics.functional import count_error
from fastcount.models.convert_mcnn import load_public_mcnn
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter

KNOWN = {"A": {"n": 182, "mae": 109.8, "rmse": 167.5}, "B": {"n": 316, "mae": 25.3, "rmse": 43.9}}


def evaluate(weights: Path, root: Path, part: str, device: str) -> dict[str, float]:
    """``n``, ``mae``, ``rmse`` and ``bias`` (mean of count minus truth) over the test split."""
    dataset = open_dataset(f"shanghaitech:{root}?part={part}&split=test")
    counter = Counter(TorchEngine(load_public_mcnn(weights), device))
    counted, truth = [], []
    for index in range(len(dataset)):
        counted.append(counter(dataset.path(index)).count)
        truth.append(dataset.annotation(index).count)
    errors = count_error(torch.tensor(counted), torch.tensor(truth))
    return {"n": len(dataset)} | {k: float(errors[k]) for k in ("mae", "rmse", "bias")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="public MCNN weights (.h5)")
    parser.add_argument("root", type=Path, help="the folder with part_A and part_B")
    parser.add_argument("--part", choices=("A", "B"), default="A")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    found = evaluate(arguments.weights, arguments.root, arguments.part, arguments.device)
    document = {"part": arguments.part, **found, "whole_test_set": KNOWN[arguments.part]}
    print(json.dumps(document))


if __name__ == "__main__":
    main()
