"""Plots of loss and accuracy by epoch, with the best epoch marked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from maskspot.files import replacing

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"
"""The palette of Okabe and Ito, which is safe for colour-blind readers."""


def draw_curves(folder: Path, history: Sequence[Mapping[str, float]], best: int) -> None:
    """Write `train_loss.png` and `train_accuracy.png`.

    Args:
        folder: to write them to.
        history: a row for each epoch: epoch, loss, accuracy, val_loss, val_accuracy.
        best: index of the row with the lowest validation loss.
    """
    for quantity, words in (("loss", "Log loss"), ("accuracy", "Accuracy")):
        epochs = [row["epoch"] for row in history]
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(epochs, [r[quantity] for r in history], color=_BLUE, marker=".", label="training")
        axes.plot(
            epochs,
            [r[f"val_{quantity}"] for r in history],
            color=_ORANGE,
            marker=".",
            label="validation",
        )
        value = history[best][f"val_{quantity}"]
        axes.axvline(epochs[best], color=_GREY, linestyle=":", linewidth=1)
        axes.plot(
            [epochs[best]],
            [value],
            "o",
            markersize=9,
            fillstyle="none",
            color=_ORANGE,
            label=f"best epoch: {epochs[best]:g} ({value:.4f})",
        )
        axes.set(xlabel="Epoch", ylabel=words, title=f"{words} by epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        with replacing(folder / f"train_{quantity}.png") as beside:
            figure.savefig(beside, dpi=120)
