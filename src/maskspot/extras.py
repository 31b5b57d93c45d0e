"""The optional parts of maskspot: is what a command needs installed?"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

from maskspot.errors import MissingExtraError, UsageError

_TRAIN = ("cv2", "efficientnet", "keras", "matplotlib", "onnx", "tensorflow", "tf2onnx")
_FETCH = ("httpx", "platformdirs")
_REPORT = ("jinja2", "markdown_it", "matplotlib")
_SERVE = ("prometheus_client", "starlette", "uvicorn")


def require_fetch(what: str) -> None:
    """Check that maskspot[fetch] is installed.

    Raises:
        MissingExtraError: it is not; the text names the `pip install` to run.
    """
    if any(find_spec(module) is None for module in _FETCH):
        raise MissingExtraError(what, "fetch")


def require_report(what: str) -> None:
    """Check that maskspot[report] is installed.

    Raises:
        MissingExtraError: it is not; the text names the `pip install` to run.
    """
    if any(find_spec(module) is None for module in _REPORT):
        raise MissingExtraError(what, "report")
    import_matplotlib()


def require_serve(what: str) -> None:
    """Check that maskspot[serve] is installed.

    Raises:
        MissingExtraError: it is not; the text names the `pip install` to run.
    """
    if any(find_spec(module) is None for module in _SERVE):
        raise MissingExtraError(what, "serve")


def require_train(what: str) -> None:
    """Check that maskspot[train] is installed, and load TensorFlow without its chatter.

    Keras is set up as our networks need it, whatever the user's own keras.json says.

    Raises:
        MissingExtraError: it is not; the text names the `pip install` to run.
        UsageError: Keras refuses the user's keras.json.
    """
    if any(find_spec(module) is None for module in _TRAIN):
        raise MissingExtraError(what, "train")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.pop("TF_USE_LEGACY_KERAS", None)  # Keras 2, which our networks are not written for
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Off by default on processors without AVX-512; with it MobileNet trains 1.9 times as fast.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _silent_stderr():
        _set_up_keras()
        import tensorflow as tf

        tf.config.list_physical_devices()
    import_matplotlib()


def import_matplotlib() -> None:
    """Import matplotlib, whatever backend MPLBACKEND names: we draw files, which takes none.

    Jupyter sets it for every command to a module that only its own Python has.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib as mpl
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):  # for who draws with it beside us
            mpl.rcParams["backend"] = backend


def _set_up_keras() -> None:
    try:
        import keras
    except (ArithmeticError, AssertionError, AttributeError, TypeError, ValueError) as error:
        home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
        raise UsageError(
            f"{os.path.join(home, 'keras.json')}: Keras cannot use it ({type(error).__name__}); "
            "move it away"
        ) from error
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what native code prints: TensorFlow reports absent GPUs whatever its log level."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
