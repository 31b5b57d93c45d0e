"""Where a model runs: onnxruntime's providers, by the names that people know."""

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import onnxruntime

from maskspot.cpus import usable_cpus
from maskspot.errors import UsageError


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

_NVIDIA = ("cuda", "tensorrt")

_WARNING, _FATAL = 2, 4  # onnxruntime's severities

_SPREAD = ("cpu", "cuda")
"""Where threads are spread over processes: what was measured."""

_MANY, _TOGETHER = 8, 4
"""From so many busy threads on, so many share a process."""

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
        session = _start(model, name, options) if provider in here else None
        if session:
            return session, name
        if name == device:
            raise UsageError(f"device {name}: {_absent(name, package, provider in here)}")
    raise AssertionError("every onnxruntime has the CPU")


def _start(
    model: bytes, name: str, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession | None:
    """Return a session on a device whose provider is here; None where that does not start."""
    providers = [(DEVICES[name].provider, _settings(name))]
    if name == "cpu":
        return onnxruntime.InferenceSession(model, options, providers=providers)
    if name in _NVIDIA:
        _load_cuda()
    # It is for us to say that it does not start: onnxruntime fills its log, or even standard
    # output, among the rows, and takes the CPU instead, now or in the middle of the work.
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=providers, enable_fallback=0
        )
    except (ValueError, RuntimeError):  # of the provider; a model's are classes of onnxruntime
        return None
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)  # as it is at first
    return session if session.get_providers()[0] == DEVICES[name].provider else None


def _load_cuda() -> None:
    """Load the CUDA libraries that pip has installed, where the system's loader does not look."""
    if hasattr(onnxruntime, "preload_dlls"):  # from onnxruntime 1.21 on
        with redirect_stdout(StringIO()):  # where it prints which it did not find
            onnxruntime.preload_dlls()


def threads_for(device: str) -> int:
    """Return how many threads read images and ask a device for their scores, unless told.

    OpenVINO computes in threads of its own: with but one of ours to each, they often wait.
    """
    return usable_cpus() * (2 if device == "openvino" else 1)


def processes_for(device: str, threads: int) -> int:
    """Return how many processes the threads are best spread over, unless told; 1 is no other.

    About a millisecond of each image is Python's, in which all other threads of a process wait.
    """
    busy = min(threads, usable_cpus())
    return -(-busy // _TOGETHER) if device in _SPREAD and busy >= _MANY else 1


def _settings(name: str) -> dict[str, str]:
    """Return a provider's own options.

    CUDA computes with all of float32's bits, of which it would leave out 13 (TF32), and does not
    try every algorithm out before its first image: that takes a second, and was no faster.

    OpenVINO's are its CPU plug-in's: a stream for each CPU, where it would give all cores to each
    image; and bfloat16 where the processor computes with it, which is its own runtime's default.
    """
    if name == "cuda":
        return {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
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
        hint = " (pip install 'onnxruntime-gpu[cuda,cudnn]' has CUDA's)" if name in _NVIDIA else ""
        why = "it does not start: are its driver and libraries there?"
        return f"onnxruntime knows it, but {why}{hint}"
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
