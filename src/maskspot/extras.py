"""Checks that the optional packages that a command needs are installed."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

from maskspot.errors import MissingExtraError, UsageError

_TRAIN = ("cv2", "efficientnet", "keras", "matplotlib", "onnx", "tensorflow", "tf2onnx")
_FETCH = ("httpx", "platformdirs")
_REPORT = ("jinja2", "markdown_it", "matplotlib")
_RAY = ("pyarrow", "ray")
_SERVE = ("prometheus_client", "starlette", "uvicorn")


def require_fetch(what: str) -> None:
    """Check that maskspot[fetch] is installed.

    Raises:
        MissingExtraError: it is not; the text has the `pip install` command to run.
    """
    _require(what, "fetch", _FETCH)


def require_report(what: str) -> None:
    """Check that maskspot[report] is installed.

    Raises:
        MissingExtraError: it is not; the text has the `pip install` command to run.
    """
    _require(what, "report", _REPORT)
    import_matplotlib()


def require_serve(what: str) -> None:
    """Check that maskspot[serve] is installed.

    Raises:
        MissingExtraError: it is not; the text has the `pip install` command to run.
    """
    _require(what, "serve", _SERVE)


def require_ray(what: str) -> None:
    """Check that maskspot[ray] is installed.

    Raises:
        MissingExtraError: it is not; the text has the `pip install` command to run.
    """
    _require(what, "ray", _RAY)


def require_train(what: str) -> None:
    """Check that maskspot[train] is installed, and load TensorFlow without its messages.

    Keras is configured as the networks require, whatever the user's keras.json says.

    Raises:
        MissingExtraError: it is not; the text has the `pip install` command to run.
        UsageError: Keras refuses the user's keras.json.
    """
    _require(what, "train", _TRAIN)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.pop("TF_USE_LEGACY_KERAS", None)  # Keras 2, which the networks do not support
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Off by default on processors without AVX-512, but much faster on those too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _silent_stderr():
        _set_up_keras()
        import tensorflow as tf

        tf.config.list_physical_devices()
    import_matplotlib()


def _require(what: str, extra: str, modules: Iterable[str]) -> None:
    if any(find_spec(module) is None for module in modules):
        raise MissingExtraError(what, extra)


def import_matplotlib() -> None:
    """Import matplotlib, whatever backend MPLBACKEND names, as drawing files needs none.

    Jupyter sets it for all commands to a module that only its own Python has.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib as mpl
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):  # for a program that draws with it too
            mpl.rcParams["backend"] = backend


def _set_up_keras() -> None:
    try:
        import keras
    except (ArithmeticError, AssertionError, AttributeError, TypeError, ValueError) as error:
        home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
        raise UsageError(
            f"{os.path.join(home, 'keras.json')}: Keras cannot use it ({type(error).__name__}); "
            "correct or remove it"
        ) from error
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop the output of native code: TensorFlow reports missing GPUs at every log level."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
