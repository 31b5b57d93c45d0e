"""What this machine offers for running models, and the versions of installed packages."""

import platform
import re
from importlib import metadata
from typing import Any

import onnxruntime

from maskspot._version import __version__
from maskspot.cpus import usable_cpus
from maskspot.model.providers import DEVICES, installed_runtimes

_BASE = ("numpy", "pillow", "rich", "typer")


def describe_machine() -> dict[str, Any]:
    """Return the devices and CPUs of this machine and the versions for a bug report.

    The values are plain: texts, numbers, lists and dicts. No package is imported to learn its
    version, as TensorFlow would take seconds.
    """
    available = onnxruntime.get_available_providers()
    return {
        "devices": [name for name, device in DEVICES.items() if device.provider in available],
        "cpus": usable_cpus(),
        "maskspot": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "onnxruntime": onnxruntime.__version__,
        "runtimes": list(installed_runtimes()),
        "packages": {name: _version(name) for name in _BASE},
        "extras": {
            extra: {name: _version(name) for name in names} for extra, names in _extras().items()
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _extras() -> dict[str, list[str]]:
    """Return the packages of each extra but `dev`, from the metadata of the installed package."""
    try:
        required = metadata.requires("maskspot") or []
    except metadata.PackageNotFoundError:  # run from a folder of sources
        return {}
    found: dict[str, list[str]] = {}
    for line in required:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"""extra\s*==\s*['"]([\w.-]+)""", line)
        if name and extra and extra[1] != "dev" and name[0] != "maskspot":
            found.setdefault(extra[1], []).append(name[0])
    return found
