"""The losses of training, and its optimizer."""

from typing import Any

import keras
import numpy as np

from maskspot.training.settings import Settings


@keras.saving.register_keras_serializable("maskspot")  # type: ignore[untyped-decorator]
def map_loss(grid: Any, heatmap: Any) -> Any:
    """Return the cross-entropy between where the masks are and the softmax of the map, (N,).

    Both are (N, G, G, 1). It is 0 where the grid is 0, so that images without boxes do not count.
    """
    ops = keras.ops
    cells = ops.log_softmax(ops.reshape(heatmap, (ops.shape(heatmap)[0], -1)), axis=-1)
    return -ops.sum(ops.reshape(grid, ops.shape(cells)) * cells, axis=-1)


@keras.saving.register_keras_serializable("maskspot")  # type: ignore[untyped-decorator]
def agreement(targets: Any, logits: Any) -> Any:
    """Return whether logits and targets are on the same side of one half; targets may be soft."""
    return keras.ops.equal(targets > 0.5, logits > 0)  # noqa: PLR2004


def compile_network(model: Any, settings: Settings) -> Any:
    """Compile a network with the optimizer and the losses of the settings, and return it."""
    label_loss = keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=settings.label_smoothing
    )
    both = bool(settings.heatmap)
    model.compile(
        optimizer=build_optimizer(settings),
        loss=[label_loss, map_loss] if both else label_loss,
        loss_weights=[1.0, settings.heatmap] if both else None,
        metrics=[[agreement], []] if both else [agreement],
        jit_compile=False,  # XLA is several times slower on a CPU
    )
    model.optimizer.build(model.trainable_variables)
    # Keras would create the metrics at the first batch, and then trace the step a second time.
    label, cell = np.zeros((1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32)
    given = {"y": [label, cell], "y_pred": [label, cell]} if both else {"y": label, "y_pred": label}
    model.compute_loss(**given)
    model.compute_metrics(x=None, sample_weight=None, **given)
    model.reset_metrics()
    return model


def build_optimizer(settings: Settings) -> Any:
    """Return the optimizer of the settings; its learning rate is set before each step."""
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
