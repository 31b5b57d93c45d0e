"""CUDA as a device, where there is one: the CPU's scores, but for their last digits."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from maskspot.errors import UsageError
from maskspot.model.predictor import Predictor
from maskspot.model.providers import DEVICES

if DEVICES["cuda"].provider not in onnxruntime.get_available_providers():
    pytest.skip("needs onnxruntime-gpu", allow_module_level=True)
try:
    Predictor("fast", device="cuda")
except UsageError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.mark.parametrize(("model", "bound"), [("default", 1e-4), ("fast", 1e-4), ("int8", 1)])
def test_it_scores_as_the_cpu_does(demo_data: Path, model: str, bound: float) -> None:
    files = sorted((demo_data / "images").iterdir())
    there, here = (
        np.array([score.probability for score in Predictor(model, device=device).predict(files)])
        for device in ("cuda", "cpu")
    )
    change = np.log(there / (1 - there)) - np.log(here / (1 - here))
    assert np.abs(change).max() < bound


def test_auto_takes_it_and_rows_keep_their_order(cli: Any, demo_data: Path, tmp_path: Path) -> None:
    done = cli("predict", demo_data, "-o", tmp_path / "there.csv", "--batch-size", 5)
    assert (done.code, done.out) == (0, "")
    assert "with model 'default' on cuda" in done.err
    cli("predict", demo_data, "--device", "cpu", "-o", tmp_path / "here.csv")
    there, here = (
        [line.split(",")[0] for line in (tmp_path / f"{name}.csv").read_text().splitlines()]
        for name in ("there", "here")
    )
    assert there == here


def test_heatmaps_are_the_cpus(demo_data: Path) -> None:
    file = next((demo_data / "images").iterdir())
    there, here = (
        Predictor(device=device).predict(file, heatmap=True).heatmap for device in ("cuda", "cpu")
    )
    assert there == pytest.approx(here, abs=1e-2)
