"""What this machine offers for running models, and the versions of installed packages."""

from importlib import metadata

import onnxruntime
import pytest

from maskspot.model.machine import describe_machine


def test_devices_are_those_of_this_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = ["CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    assert describe_machine()["devices"] == ["cpu", "cuda"]


def test_extras_are_read_from_the_installed_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    required = [
        "numpy>=1.26",
        "no-such-package>=1; extra == 'heic'",
        "maskspot[fetch]; extra == 'train'",
        'numpy<9; (python_version < "3.14") and extra == "train"',
        "pytest; extra == 'dev'",
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: required)
    found = describe_machine()["extras"]
    assert found == {
        "heic": {"no-such-package": None},
        "train": {"numpy": metadata.version("numpy")},
    }
