"""What training makes small, and the steps by which it does."""

from typing import Any

import keras
import numpy as np

from maskspot.training.settings import Settings


@keras.saving.register_keras_serializable("maskspot")  # type: ignore[untyped-decorator]
def map_loss(grid: Any, heatmap: Any) -> Any:
    """Return the cross-entropy between where the masks are and where the map is hottest, (N,).

    Both are (N, G, G, 1); the map goes through a softmax over its cells. It is 0 where the grid
    is, so that images without boxes say nothing.
    """
    ops = keras.ops
    cells = ops.log_softmax(ops.reshape(heatmap, (ops.shape(heatmap)[0], -1)), axis=-1)
    return -ops.sum(ops.reshape(grid, ops.shape(cells)) * cells, axis=-1)


@keras.saving.register_keras_serializable("maskspot")  # type: ignore[untyped-decorator]
def agreement(targets: Any, logits: Any) -> Any:
    """Return whether logits fall on the targets' side of one half; targets may be soft."""
    return keras.ops.equal(targets > 0.5, logits > 0)  # noqa: PLR2004


def compiled(model: Any, settings: Settings) -> Any:
    """Give a network the optimizer and the losses of the settings, and return it."""
    of_labels = keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=settings.label_smoothing
    )
    both = bool(settings.heatmap)
    model.compile(
        optimizer=_optimizer(settings),
        loss=[of_labels, map_loss] if both else of_labels,
        loss_weights=[1.0, settings.heatmap] if both else None,
        metrics=[[agreement], []] if both else [agreement],
        jit_compile=False,  # XLA runs at a fraction of the speed on a CPU
    )
    model.optimizer.build(model.trainable_variables)
    # Keras makes what it counts with at the first batch, and then has to trace the step again.
    label, cell = np.zeros((1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32)
    given = {"y": [label, cell], "y_pred": [label, cell]} if both else {"y": label, "y_pred": label}
    model.compute_loss(**given)
    model.compute_metrics(x=None, sample_weight=None, **given)
    model.reset_metrics()
    return model


def _optimizer(settings: Settings) -> Any:
    common: dict[str, Any] = {"amsgrad": settings.amsgrad}
    if settings.clip_norm:
        common["global_clipnorm"] = settings.clip_norm
    if settings.ema:
        common |= {"use_ema": True, "ema_momentum": settings.ema}
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(**common)
    optimizer = keras.optimizers.AdamW(weight_decay=settings.weight_decay, **common)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer
