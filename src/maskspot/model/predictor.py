"""Pixels to probabilities, on onnxruntime."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from maskspot.errors import ImageError, MaskspotError, ModelFileError, UsageError
from maskspot.images import MAX_PIXELS, ImageSource, keep_memory
from maskspot.model.info import HEATMAP, INPUT, OUTPUT, ModelInfo, read_info
from maskspot.model.priors import at_prior
from maskspot.model.providers import PROCESSORS, open_session, threads_for
from maskspot.model.score import Score
from maskspot.model.shipped import DEFAULT, find_model, ships
from maskspot.model.validation import read_model
from maskspot.parallel import map_in_order

_BATCH = 32
"""Default number of images that an accelerator takes at once."""


_LARGEST_BATCH = 4096

Watch = Callable[[Image.Image, Score], None]
"""Called with an upright RGB image, reduced to 1024 pixels at most, and its score."""

_WATCHED = 1024  # pixels of the longer side


class Predictor:
    """A loaded model. It can be used from several threads, and pickled to other processes.

    On the CPU each image goes through the network alone and on one thread. That is fastest when
    images are spread over threads, and makes a probability depend on the image and the model
    only. Other devices take batches.

    Attributes:
        info: what the model file states about itself.
        id: name of the model and half of the SHA-256 of its file: the same id is the same file.
        device: where it runs; never `auto`.
        batch_size: number of images that a thread takes at once.
        threads: number of threads that it is fastest with: one per usable CPU on most devices.
        reload: loads the same model again, for instance in another process.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT,
        *,
        device: str = "cpu",
        batch_size: int | None = None,
        max_pixels: int = MAX_PIXELS,
        draft: bool | None = None,
        prior: float | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: a model file, or the name of one that ships with maskspot.
            device: where it runs: cpu, auto, or another name in
                `maskspot.model.providers.DEVICES`.
            batch_size: number of images that a thread takes at once; None is 1 on the CPU and 32 on
                accelerators.
            max_pixels: larger images are refused.
            draft: decode large JPEGs at a fraction of their size, which is faster, or in full;
                None does what the model file says.
            prior: share of images with masks among those to score; None is the share that the
                model was calibrated for.

        Raises:
            ModelFileError: the file is missing, damaged, or not supported by this version.
            UsageError: the device is not available, the batch size or the prior is out of range,
                or the model does not state its own prior.
        """
        if batch_size is not None and not 1 <= batch_size <= _LARGEST_BATCH:
            raise UsageError(
                f"must be from 1 to {_LARGEST_BATCH}, not {batch_size}", argument="batch_size"
            )
        file = find_model(model).absolute()
        asked: dict[str, Any] = {"device": device, "batch_size": batch_size}
        asked |= {"max_pixels": max_pixels, "draft": draft, "prior": prior}
        self.reload = partial(Predictor, file, **asked)
        self.max_pixels, self.draft, self.prior = max_pixels, draft, prior
        content = read_model(file, trusted=ships(file))
        self._session, self.device = _open(content, file, device)
        self.batch_size = batch_size or (1 if self.device in PROCESSORS else _BATCH)
        self.threads = threads_for(self.device)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.info: ModelInfo = read_info(metadata, str(model))
        self.id = f"{self.info.name}-{sha256(content).hexdigest()[:32]}"
        _check_contract(self._session, self.info, str(model))
        _check_prior(prior, self.info)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments; the other process loads the file itself."""
        return self.reload, ()

    @property
    def has_heatmap(self) -> bool:
        """Whether the model can show where the mask is."""
        return any(each.name == HEATMAP for each in self._session.get_outputs())

    @overload
    def predict(  # type: ignore[overload-overlap]  # a str is one image, not many
        self, image: ImageSource, source: str | None = None, *, heatmap: bool = False
    ) -> Score: ...

    @overload
    def predict(
        self, image: Iterable[ImageSource], *, heatmap: bool = False
    ) -> Iterator[Score]: ...

    def predict(
        self,
        image: ImageSource | Iterable[ImageSource],
        source: str | None = None,
        *,
        heatmap: bool = False,
    ) -> Score | Iterator[Score]:
        """Score one image, or many; an image that cannot be read gives a `Score` with the reason.

        Args:
            image: a path, bytes, a binary file, a Pillow image, or RGB uint8 (H, W, 3); or an
                iterable of these, which may be endless. Its scores come in order, as soon as they
                are available, computed by `threads` threads.
            source: the `source` of a single `Score`; by default its path.
            heatmap: compute where the mask is.

        Raises:
            TypeError: the image has another type.
            ModelFileError: the model fails, or has no heatmap.
        """
        if not _is_many(image):
            one = cast("ImageSource", image)
            pair = (_source(one) if source is None else source, one)
            return self.predict_batch([pair], heatmap)[0]
        many = cast("Iterable[ImageSource]", image)
        pairs = ((_source(each), each) for each in many)
        work = partial(self.predict_batch, heatmap=heatmap)
        keep_memory(self.threads)
        return map_in_order(work, pairs, self.threads, self.batch_size)

    def predict_batch(
        self,
        images: Sequence[tuple[str, ImageSource | Callable[[], ImageSource]]],
        heatmap: bool = False,
        watch: Watch | None = None,
    ) -> list[Score]:
        """Score images in this thread: read them one by one, and run the network on all.

        Args:
            images: pairs of a source and an image, or a function that returns the image or raises
                `ImageError` or OSError.
            heatmap: compute where the masks are.
            watch: called with each image that was scored, and its score.
        """
        scores: list[Score] = []
        pixels: list[NDArray[np.uint8]] = []
        watched: list[Image.Image] | None = [] if watch else None
        for source, image in images:
            started = time.perf_counter()
            score = self._read(source, image, pixels, watched)
            scores.append(replace(score, milliseconds=1000 * (time.perf_counter() - started)))
        started = time.perf_counter()
        answers = zip(*self._run(pixels, heatmap), strict=True)
        share = 1000 * (time.perf_counter() - started) / max(1, len(pixels))
        scores = [
            score if score.error is not None else self._complete(score, share, *next(answers))
            for score in scores
        ]
        if watch and watched:
            good = (score for score in scores if score.error is None)
            for view, score in zip(watched, good, strict=True):
                watch(view, score)
        return scores

    def _complete(
        self,
        score: Score,
        milliseconds: float,
        probability: np.float64,
        heatmap: NDArray[np.float32] | None,
    ) -> Score:
        size = cast("int", score.width), cast("int", score.height)
        return replace(
            score,
            probability=float(probability),
            milliseconds=cast("float", score.milliseconds) + milliseconds,
            heatmap=None if heatmap is None else self.info.preprocessing.crop(heatmap, size),
        )

    def _read(
        self,
        source: str,
        image: ImageSource | Callable[[], ImageSource],
        pixels: list[NDArray[np.uint8]],
        watched: list[Image.Image] | None,
    ) -> Score:
        """Append the network's input to `pixels`, and return a `Score` without a probability."""
        try:
            if callable(image):
                image = image()
            opened = self.info.preprocessing.open(image, self.max_pixels, self.draft)
            ready = self.info.preprocessing.apply(opened.rgb)
            if watched is not None:
                watched.append(_reduced(opened.rgb))
            pixels.append(ready)
        except ImageError as error:
            return Score(source, error=str(error), status=error.status)
        except MemoryError:
            return Score(source, error="not enough memory to read it", status="too large")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            missing = isinstance(error, FileNotFoundError)
            return Score(source, error=reason, status="missing" if missing else "unreadable")
        return Score(source, width=opened.width, height=opened.height, format=opened.format)

    def probabilities(
        self, pixels: NDArray[np.uint8] | list[NDArray[np.uint8]]
    ) -> NDArray[np.float64]:
        """Return the probabilities, float64 (N,), of images that are preprocessed already.

        Args:
            pixels: RGB uint8 (N, S, S, 3), where S is `info.preprocessing.size`.

        Raises:
            ModelFileError: the graph fails, or its output is not from 0 to 1.
        """
        return self._run(pixels)[0]

    def _run(
        self, pixels: NDArray[np.uint8] | list[NDArray[np.uint8]], heatmap: bool = False
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float32] | None]]:
        """Return probabilities and, if asked for, heatmaps."""
        result = np.empty(len(pixels))
        maps: list[NDArray[np.float32] | None] = [None] * len(pixels)
        outputs = [OUTPUT, HEATMAP] if heatmap else [OUTPUT]
        if heatmap and not self.has_heatmap:
            raise ModelFileError(f"{self.info.name}: has no heatmap output; export its run again")
        step = 1 if self.device in PROCESSORS else self.batch_size
        for at in range(0, len(pixels), step):
            batch = _batch(pixels[at : at + step])
            these = slice(at, at + len(batch))
            try:
                found, *more = self._session.run(outputs, {INPUT: _pad(batch, step)})
                result[these] = found.ravel()[: len(batch)]
            except Exception as error:  # errors of onnxruntime share no base class; ValueError
                raise ModelFileError(f"{self.info.name}: the model fails ({error})") from error
            if more:
                maps[these] = more[0][: len(batch)]
        if not ((result >= 0) & (result <= 1)).all():
            raise ModelFileError(f"{self.info.name}: an output of the model is not from 0 to 1")
        if self.prior is not None and self.info.prior is not None:
            result = at_prior(result, self.info.prior, self.prior)
        return result, maps


def _reduced(image: Image.Image) -> Image.Image:
    """Return an image of at most 1024 pixels, small enough to keep for a batch."""
    scale = _WATCHED / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(scale * side)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2)


def _batch(pixels: NDArray[np.uint8] | list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return images as one array, copied only if they are several arrays."""
    if isinstance(pixels, list):
        return pixels[0][np.newaxis] if len(pixels) == 1 else np.stack(pixels)
    return pixels


def _pad(batch: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """Pad a batch to a fixed length, as accelerators compile for each new shape."""
    missing = length - len(batch)
    return np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else batch


def _is_many(image: object) -> bool:
    if isinstance(image, np.ndarray):
        return image.ndim == 4  # noqa: PLR2004
    if isinstance(image, str | bytes | bytearray | memoryview | os.PathLike | Image.Image):
        return False
    return isinstance(image, Iterable) and not hasattr(image, "read")


def _source(image: object) -> str:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else ""


def _open(content: bytes, file: Path, device: str) -> tuple[onnxruntime.InferenceSession, str]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors come as exceptions, and need not be logged too
    try:
        return open_session(content, device, options)
    except MaskspotError:
        raise
    except Exception as error:  # errors of onnxruntime share no base class
        raise ModelFileError(f"{file}: not a model file, or damaged") from error


def _check_prior(prior: float | None, info: ModelInfo) -> None:
    if prior is None:
        return
    if not 0 < prior < 1:
        raise UsageError(f"must be between 0 and 1, not {prior:g}", argument="prior")
    if info.prior is None:
        raise UsageError(
            f"{info.name} does not state the prior that it was calibrated for", argument="prior"
        )


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
        raise ModelFileError(f"{name}: its graph does not match its metadata; export it again")
