"""The model of `predict`, opened in a thread: onnxruntime leaves Python's lock to what else is due.

That begins before the command line is parsed, and before Typer is even imported.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maskspot.model.shipped import DEFAULT

if TYPE_CHECKING:
    from concurrent.futures import Future

    from maskspot.model.predictor import Predictor

USUAL: Mapping[str, Any] = {"device": "auto", "batch_size": None, "draft": None, "prior": None}
"""How `predict` opens a model where no option says otherwise."""

_OTHERWISE = (
    *("--help", "--engine", "--device", "--batch-size", "--max-pixels"),
    *("--draft", "--no-draft", "--prior"),
)

_begun: "list[tuple[str, Future[Predictor]]]" = []


def begin(words: Sequence[str]) -> None:
    """Open the model that a command line seems to ask for; a wrong guess costs time alone."""
    _begun.clear()
    model: str | None = DEFAULT
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word in ("-m", "--model"):
            model = following
        elif word.startswith(("-m", "--model=", *_OTHERWISE)):
            return
    if model is not None:
        _begun.append((model, _open(model, USUAL)))


def opening(model: str, options: Mapping[str, Any]) -> "Future[Predictor]":
    """Return the model that is being opened: what `begin` began, if it is that."""
    begun = _begun.pop() if _begun else None
    if begun and begun[0] == model and options == USUAL:
        return begun[1]
    return _open(model, options)


def _open(model: str, options: Mapping[str, Any]) -> "Future[Predictor]":
    from concurrent.futures import ThreadPoolExecutor

    from PIL import Image

    from maskspot.model.predictor import Predictor

    pool = ThreadPoolExecutor(1, thread_name_prefix="maskspot")
    predictor = pool.submit(Predictor, model, **options)
    pool.shutdown(wait=False)
    Image.preinit()  # the usual decoders, which the first image would import
    return predictor
