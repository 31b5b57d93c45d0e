"""Pixels to probabilities, on onnxruntime."""

import os
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from maskspot.errors import ImageError, ModelFileError
from maskspot.images import MAX_PIXELS, ImageSource
from maskspot.modelfile import INPUT, OUTPUT, ModelInfo, read_info
from maskspot.models import find_model
from maskspot.results import Score


class Predictor:
    """A model, loaded and ready; safe to use from several threads at once.

    Every image goes through the network alone and on one thread: that is the fastest way on a
    CPU when images are spread over threads, and makes a probability depend on nothing but the
    image and the model.
    """

    def __init__(self, model: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> None:
        """Load a model.

        Args:
            model: a model file, or the name of one that ships with maskspot.
            max_pixels: images of more pixels than this are refused.

        Raises:
            ModelFileError: it is missing, damaged, or not one this version understands.
        """
        file = find_model(model)
        self.max_pixels = max_pixels
        self._session = _open_session(file)
        self.info: ModelInfo = read_info(
            self._session.get_modelmeta().custom_metadata_map, str(model)
        )
        _check_contract(self._session, self.info, str(model))

    def predict(self, image: ImageSource, source: str | None = None) -> Score:
        """Score one image; one that cannot be read gives a `Score` with its error.

        Args:
            image: a path, bytes, a binary file, a Pillow image, or RGB uint8 (H, W, 3).
            source: the `Score`'s source; a path is its own.
        """
        if source is None:
            source = os.fspath(image) if isinstance(image, str | os.PathLike) else ""
        try:
            pixels = self.info.preprocessing.read(image, self.max_pixels)
        except ImageError as error:
            return Score(source, error=str(error), status=error.status)
        return Score(source, probability=float(self.probabilities(pixels[None])[0]))

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probabilities, float64 (N,), of images that are the network's input already.

        Args:
            pixels: RGB uint8 (N, S, S, 3), S as in `info.preprocessing.size`.

        Raises:
            ModelFileError: the graph fails, or its output is no probability.
        """
        result = np.empty(len(pixels))
        for at, image in enumerate(pixels):
            try:
                (result[at],) = self._session.run([OUTPUT], {INPUT: image[None]})[0].ravel()
            except Exception as error:  # onnxruntime's own share no base class; ValueError
                raise ModelFileError(f"{self.info.name}: the model fails ({error})") from error
        if not ((result >= 0) & (result <= 1)).all():
            raise ModelFileError(f"{self.info.name}: the model gives numbers outside 0 to 1")
        return result


def _open_session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # its errors come as exceptions: one message, not two
    try:
        return onnxruntime.InferenceSession(
            file.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except OSError as error:
        raise ModelFileError(f"{file}: {error.strerror}") from None
    except Exception as error:  # onnxruntime's own exceptions share no base class of theirs
        raise ModelFileError(f"{file}: not a model file, or damaged") from error


def _check_contract(session: onnxruntime.InferenceSession, info: ModelInfo, name: str) -> None:
    size = info.preprocessing.size
    inputs = [
        (each.name, each.type, isinstance(each.shape[0], int), each.shape[1:])
        for each in session.get_inputs()
    ]
    outputs = {each.name: (each.type, each.shape[1:]) for each in session.get_outputs()}
    if inputs != [(INPUT, "tensor(uint8)", False, [size, size, 3])] or (
        outputs.get(OUTPUT) != ("tensor(double)", [1])
    ):
        raise ModelFileError(f"{name}: its graph is not what its metadata say; export it again")
