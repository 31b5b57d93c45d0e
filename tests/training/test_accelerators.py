"""Training on two devices, for both of which the CPU stands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs maskspot[train]")
from maskspot.errors import UsageError
from maskspot.training import accelerators
from maskspot.training.presets import resolve

pytestmark = pytest.mark.train

# In a process of its own: TensorFlow parts the processor only before its first computation.
SCRIPT = """
import json, sys
from pathlib import Path
import keras, tensorflow as tf

cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
halves = tf.config.list_logical_devices("CPU")

from maskspot.training.presets import resolve
from maskspot.training.run import Run
from maskspot.training.train import resume
from tests.helpers import tiny_mobilenet

def run(name, gpus, **options):
    tf.config.list_logical_devices = lambda kind: gpus
    small = {"backbone": "mobilenet-0.25", "weights": "none", "size": 32, "epochs": 2,
             "batch_size": 16, "ema": 0.9, "dropout": 0.0, "class_balance": True}
    settings = resolve(options=small | options)
    run = Run.create(Path(sys.argv[2]) / name, settings, [Path(sys.argv[1])])
    resume(run)
    return [[row["loss"], row["val_loss"]] for row in run.history()]

def as_it_is():  # for a device's batch normalisation sees its own share alone
    return keras.layers.Activation("linear")

with tiny_mobilenet():
    bfloat16 = run("bfloat16", halves)
    keras.layers.BatchNormalization = as_it_is
    float32 = [run(str(len(gpus)), gpus, precision="float32") for gpus in ([], halves)]
print(json.dumps([bfloat16, *float32]))
"""


@pytest.mark.slow
def test_two_devices_share_each_batch_and_learn_what_one_learns(
    demo_data: Path, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, demo_data, tmp_path],
        check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    bfloat16, one, two = json.loads(ran.stdout.splitlines()[-1])
    for ours, theirs in zip(two, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert all(0 < loss < 2 for row in bfloat16 for loss in row)


def test_gpus_that_cannot_share_a_batch_alike_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accelerators.tf.config, "list_logical_devices", lambda kind: [kind] * 3)
    with (
        pytest.raises(UsageError, match="batch_size: 32 is not divisible by 3 GPUs"),
        accelerators.on_devices(resolve(options={"batch_size": 32})),
    ):
        pass
