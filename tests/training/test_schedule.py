import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.training.presets import resolve
from maskspot.training.schedule import best_epoch, image_size, learning_rate, should_stop

losses = st.lists(st.floats(0.01, 2.0), min_size=1, max_size=60)


def test_cosine_warms_up_peaks_and_ends_at_zero() -> None:
    settings = resolve(options={"epochs": 10, "warmup": 2.0, "learning_rate": 0.5})
    rates = [learning_rate(settings, [], step / 100) for step in range(1001)]
    assert 0 < rates[0] < 0.001
    assert max(rates) == pytest.approx(0.5, rel=1e-2)
    assert rates.index(max(rates)) in range(195, 205)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert rates[200:] == sorted(rates[200:], reverse=True)


def test_a_warm_up_longer_than_the_run_is_cut() -> None:
    settings = resolve(options={"epochs": 2, "warmup": 50.0})
    assert learning_rate(settings, [], 1.0) == pytest.approx(settings.learning_rate)


def test_plateau_cuts_after_its_patience_and_not_below_its_floor() -> None:
    settings = resolve("seed", options={"plateau_patience": 2})
    assert learning_rate(settings, [1.0, 0.9, 0.9], 3) == pytest.approx(1e-3)
    assert learning_rate(settings, [1.0, 0.9, 0.9, 0.9], 4) == pytest.approx(1e-4)
    assert learning_rate(settings, [1.0] * 40, 40) == pytest.approx(1e-5)


@given(losses)
def test_the_best_epoch_is_the_first_least_loss(values: list[float]) -> None:
    assert best_epoch(values) == values.index(min(values))


def test_training_stops_at_its_end_or_after_its_patience() -> None:
    settings = resolve(options={"epochs": 5, "patience": 2})
    assert not should_stop(settings, [])
    assert not should_stop(settings, [1.0, 2.0])
    assert should_stop(settings, [1.0, 2.0, 1.5])
    assert should_stop(settings, [5.0, 4.0, 3.0, 2.0, 1.0])
    assert not should_stop(resolve(options={"epochs": 5}), [1.0, 2.0, 3.0, 4.0])


@pytest.mark.train
@given(losses)
def test_plateau_does_as_keras_does(values: list[float]) -> None:
    import keras
    import numpy as np

    class Optimizer:
        learning_rate = keras.Variable(1e-3)

    class Model:
        optimizer = Optimizer()

    settings = resolve("seed", options={"plateau_patience": 3})
    callback = keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=3, min_lr=1e-5)
    callback.set_model(Model())
    Model.optimizer.learning_rate.assign(1e-3)
    callback.on_train_begin()
    for epoch, loss in enumerate(values):
        callback.on_epoch_end(epoch, {"val_loss": loss})
    ours = learning_rate(settings, values, len(values))
    np.testing.assert_allclose(ours, float(Model.optimizer.learning_rate), rtol=1e-5)


def test_images_grow_in_three_steps_to_their_size() -> None:
    settings = resolve(options={"epochs": 6, "start_size": 128})
    assert [image_size(settings, epoch) for epoch in range(6)] == [128, 128, 192, 192, 256, 256]
    assert image_size(resolve(options={"epochs": 6, "start_size": 0}), 0) == 256
    assert image_size(resolve(options={"epochs": 6, "size": 96}), 0) == 96
    assert image_size(resolve(options={"epochs": 1, "start_size": 128}), 0) == 256


@given(st.integers(1, 40), st.integers(32, 512), st.integers(32, 512))
def test_images_never_shrink_and_end_at_their_size(epochs: int, start: int, size: int) -> None:
    settings = resolve(options={"epochs": epochs, "start_size": min(start, size), "size": size})
    sizes = [image_size(settings, epoch) for epoch in range(epochs)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == size
