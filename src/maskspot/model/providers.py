"""The devices that models run on: providers of onnxruntime, by common names."""

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
    """A provider of onnxruntime, and the package that contains it."""

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
"""Devices by name. MIGraphX is the provider for AMD's GPUs."""

_AUTOMATIC = ("cuda", "rocm", "directml", "cpu")
"""What `auto` tries, in order: no provider that compiles for minutes or lowers the precision."""

_NVIDIA = ("cuda", "tensorrt")

_WARNING, _FATAL = 2, 4  # onnxruntime's severities

_SPREAD = ("cpu", "cuda")
"""Devices with which threads are spread over processes."""

_MANY, _TOGETHER = 8, 4
"""With at least so many busy threads, so many share a process."""

PROCESSORS = ("cpu", "openvino")
"""Devices on which single images are faster than batches."""


def open_session(
    model: bytes, device: str, options: onnxruntime.SessionOptions
) -> tuple[onnxruntime.InferenceSession, str]:
    """Open a session on a device; return it with the name of the device.

    Args:
        model: the ONNX file.
        device: `auto`, or a name in `DEVICES`.
        options: of the session.

    Raises:
        UsageError: the device is unknown, not installed, or does not start.
    """
    if device != "auto" and device not in DEVICES:
        choices = ", ".join(("auto", *DEVICES))
        raise UsageError(f"must be one of {choices}, not {device!r}", argument="device")
    here = onnxruntime.get_available_providers()
    for name in _AUTOMATIC if device == "auto" else (device,):
        provider, package = DEVICES[name]
        session = _start(model, name, options) if provider in here else None
        if session:
            return session, name
        if name == device:
            raise UsageError(
                f"{name}: {_absent(name, package, provider in here)}", argument="device"
            )
    raise AssertionError("every build of onnxruntime has the CPU provider")


def _start(
    model: bytes, name: str, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession | None:
    """Return a session on a device whose provider is installed; None if it does not start."""
    providers = [(DEVICES[name].provider, _settings(name))]
    if name == "cpu":
        return onnxruntime.InferenceSession(model, options, providers=providers)
    if name in _NVIDIA:
        _load_cuda()
    # Reported by us: onnxruntime would write to its log, or even to standard output among the
    # rows, and fall back to the CPU, at once or later.
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=providers, enable_fallback=0
        )
    except (
        ValueError,
        RuntimeError,
    ):  # of the provider; errors of the model are classes of onnxruntime
        return None
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)  # the default
    return session if session.get_providers()[0] == DEVICES[name].provider else None


def _load_cuda() -> None:
    """Load CUDA libraries installed by pip, which the system's loader does not search."""
    if hasattr(onnxruntime, "preload_dlls"):  # from onnxruntime 1.21 on
        with redirect_stdout(StringIO()):  # it prints which ones are missing
            onnxruntime.preload_dlls()


def threads_for(device: str) -> int:
    """Return the default number of threads that read images and run a device.

    OpenVINO computes in threads of its own, which would often wait for images with one of ours
    each.
    """
    return usable_cpus() * (2 if device == "openvino" else 1)


def processes_for(device: str, threads: int) -> int:
    """Return the default number of processes; 1 means this process only.

    About a millisecond per image is spent in Python while holding the GIL.
    """
    busy = min(threads, usable_cpus())
    return -(-busy // _TOGETHER) if device in _SPREAD and busy >= _MANY else 1


def _settings(name: str) -> dict[str, str]:
    """Return the options of a provider.

    CUDA: full float32 precision instead of TF32, and heuristic choice of algorithms, as an
    exhaustive search takes a second and is not faster.

    OpenVINO (CPU plug-in): one stream per CPU instead of all cores for each image; bfloat16 on
    processors that compute with it, which is the default of OpenVINO's own runtime.
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
    """Say whether this processor is known to compute with bfloat16 (only on Linux and x86).

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
        hint = (
            " (pip install 'onnxruntime-gpu[cuda,cudnn]' has those of CUDA)"
            if name in _NVIDIA
            else ""
        )
        why = "it does not start; check its driver and libraries"
        return f"onnxruntime supports it, but {why}{hint}"
    if package in runtimes:
        return f"the build of {package} for this system lacks it"
    others = " ".join(runtime for runtime in runtimes if runtime != package)
    remove = f"pip uninstall {others}; " if others else ""
    return f"this build of onnxruntime lacks it: {remove}pip install {package}"


def installed_runtimes() -> Iterator[str]:
    """Yield the names of the installed packages of onnxruntime, which share one folder."""
    site = Path(onnxruntime.__file__).parent.parent
    for found in sorted(site.glob("onnxruntime*.dist-info")):
        name = found.name.split("-")[0].replace("_", "-")
        if name in {device.package for device in DEVICES.values()}:
            yield name


def two_runtimes(runtimes: list[str], package: str | None = None) -> str:
    """Return a message about packages that overwrite each other's files."""
    keep = package or next(name for name in runtimes if name != "onnxruntime")
    return (
        f"{' and '.join(runtimes)} are installed over each other: pip uninstall "
        f"{' '.join(runtimes)}; pip install {keep}"
    )
