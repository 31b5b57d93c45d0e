"""Where a model runs: onnxruntime's providers, by the names that people know."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import onnxruntime

from maskspot.errors import UsageError
from maskspot.threads import usable_cpus


class Device(NamedTuple):
    """An onnxruntime provider, and the package that has it."""

    provider: str
    package: str


DEVICES = {
    "cpu": Device("CPUExecutionProvider", "onnxruntime"),
    "cuda": Device("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": Device("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "rocm": Device("MIGraphXExecutionProvider", "onnxruntime-migraphx"),
    "directml": Device("DmlExecutionProvider", "onnxruntime-directml"),
    "coreml": Device("CoreMLExecutionProvider", "onnxruntime"),
    "openvino": Device("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
"""By name. AMD's GPUs are MIGraphX's in today's onnxruntime."""

_AUTOMATIC = ("cuda", "rocm", "directml", "cpu")
"""What `auto` tries, in this order: none that compiles for minutes, or that rounds on its own."""

PROCESSORS = ("cpu", "openvino")
"""Where each image runs alone: faster there than batches."""


def open_session(
    model: bytes, device: str, options: onnxruntime.SessionOptions
) -> tuple[onnxruntime.InferenceSession, str]:
    """Return a session on a device, and the device's name: that which `auto` found.

    Args:
        model: the ONNX file.
        device: `auto`, or a name in `DEVICES`.
        options: of the session.

    Raises:
        UsageError: there is no such device, it is not installed, or it does not start.
    """
    if device != "auto" and device not in DEVICES:
        raise UsageError(f"device: {device!r} is not one of auto, {', '.join(DEVICES)}")
    here = onnxruntime.get_available_providers()
    for name in _AUTOMATIC if device == "auto" else (device,):
        provider, package = DEVICES[name]
        if provider in here:
            providers = [(provider, _settings(name))]
            session = onnxruntime.InferenceSession(model, options, providers=providers)
            # onnxruntime takes the CPU instead of a provider that does not start.
            if session.get_providers()[0] == provider:
                return session, name
        if name == device:
            raise UsageError(f"device {name}: {_absent(name, package, provider in here)}")
    raise AssertionError("every onnxruntime has the CPU")


def threads_for(device: str) -> int:
    """Return how many threads read images and ask a device for their scores, unless told.

    OpenVINO computes in threads of its own: with but one of ours to each, they often wait.
    """
    return usable_cpus() * (2 if device == "openvino" else 1)


def _settings(name: str) -> dict[str, str]:
    """Return a provider's own options.

    OpenVINO's are its CPU plug-in's: a stream for each CPU, where it would give all cores to each
    image; and bfloat16 where the processor computes with it, which is its own runtime's default.
    """
    if name != "openvino":
        return {}
    settings = {"NUM_STREAMS": str(usable_cpus())}
    if has_bfloat16():
        settings["INFERENCE_PRECISION_HINT"] = "bf16"
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": settings})}


def has_bfloat16(system: Path = Path("/")) -> bool:
    """Say whether this processor is known to compute with bfloat16: on Linux alone, and x86.

    Args:
        system: the root of the file system.
    """
    try:
        words = (system / "proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in words or "amx_bf16" in words


def _absent(name: str, package: str, listed: bool) -> str:
    runtimes = list(installed_runtimes())
    if len(runtimes) > 1:
        return two_runtimes(runtimes, package)
    if listed:
        return "onnxruntime knows it, but it does not start: are its driver and libraries there?"
    if package in runtimes:
        return f"the {package} of this system has it not"
    others = " ".join(runtime for runtime in runtimes if runtime != package)
    remove = f"pip uninstall {others}; " if others else ""
    return f"this onnxruntime has it not: {remove}pip install {package}"


def installed_runtimes() -> Iterator[str]:
    """Yield the names of the onnxruntime packages that are installed, all in one folder."""
    site = Path(onnxruntime.__file__).parent.parent
    for found in sorted(site.glob("onnxruntime*.dist-info")):
        name = found.name.split("-")[0].replace("_", "-")
        if name in {device.package for device in DEVICES.values()}:
            yield name


def two_runtimes(runtimes: list[str], package: str | None = None) -> str:
    """Say what to do about packages that overwrite each other's files."""
    keep = package or next(name for name in runtimes if name != "onnxruntime")
    return (
        f"{' and '.join(runtimes)} are installed over each other: pip uninstall "
        f"{' '.join(runtimes)}; pip install {keep}"
    )
