"""The networks, and the weights they start from."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs maskspot[train]")
import efficientnet.model
import efficientnet.tfkeras
import keras
from efficientnet import weights as published
from keras.src.backend import config

from maskspot import Predictor
from maskspot.errors import DataError, DownloadError, UsageError
from maskspot.exporting.export import export
from maskspot.exporting.storing import TOLERANCE
from maskspot.training import backbones, network
from maskspot.training.presets import resolve
from maskspot.training.run import Run
from maskspot.training.train import resume
from tests.helpers import body, save_as_published

pytestmark = pytest.mark.train

SMALL = {"backbone": "mobilenet-0.25", "size": 32}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*backbones.LITE, *(f"efficientnet-b{at}" for at in range(8))])
def test_every_efficientnet_goes_from_scratch_to_a_model_file(
    name: str, demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its seven kinds of block once: tracing all of B0's takes over a minute."""
    monkeypatch.setattr(efficientnet.model, "round_repeats", lambda repeats, depth: 1)
    goes_from_scratch_to_a_model_file(name, 32, demo_data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "inception-v3", "xception"])
def test_so_do_the_backbones_that_the_original_compared(
    name: str, demo_data: Path, tmp_path: Path
) -> None:
    goes_from_scratch_to_a_model_file(name, 80, demo_data, tmp_path)


@pytest.mark.slow
def test_so_does_inception_resnet(
    demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its kinds of block once: tracing all forty takes over five minutes."""
    from keras.src.applications import inception_resnet_v2

    block = inception_resnet_v2.inception_resnet_block

    def once(x: Any, scale: float, block_type: str, block_idx: int, **options: Any) -> Any:
        wanted = block_idx == 1 or "activation" in options  # the last has none
        return block(x, scale, block_type, block_idx, **options) if wanted else x

    monkeypatch.setattr(inception_resnet_v2, "inception_resnet_block", once)
    goes_from_scratch_to_a_model_file("inception-resnet-v2", 80, demo_data, tmp_path)


def goes_from_scratch_to_a_model_file(name: str, size: int, data: Path, folder: Path) -> None:
    options = {"backbone": name, "weights": "none", "size": size, "epochs": 1, "batch_size": 32}
    run = Run.create(folder / "runs" / "one", resolve(options=options), [data])
    resume(run)
    result = export(run, folder / "one.onnx")
    assert result.info.backbone == name
    assert result.difference <= TOLERANCE
    image = next((data / "images").iterdir())
    score = Predictor(folder / "one.onnx").predict(image, heatmap=True)
    assert score.probability is not None
    assert 0 <= score.probability <= 1
    assert score.heatmap is not None
    logit = np.log(score.probability) - np.log1p(-score.probability)
    assert np.isfinite(logit - score.heatmap.sum())


def test_every_backbone_that_settings_know_is_described() -> None:
    for describe in backbones.BACKBONES.values():
        backbone = describe()
        assert callable(backbone.build)
        assert len(backbone.scale) == len(backbone.offset) == 3


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("vgg16", keras.applications.vgg16),
        ("inception-v3", keras.applications.inception_v3),
        ("xception", keras.applications.xception),
        pytest.param(
            "inception-resnet-v2",
            keras.applications.inception_resnet_v2,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_pixels_are_what_the_backbones_weights_were_trained_on(name: str, module: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    model = network.build(resolve(options={"backbone": name, "weights": "none", "size": 96}))
    given = keras.Model(model.input, body(model)._inbound_nodes[-1].input_tensors[0])
    np.testing.assert_allclose(given(pixels), module.preprocess_input(pixels.copy()), atol=1e-4)


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Keras, and no way to the network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("backbone", "weights", "file"),
    [
        pytest.param(
            "efficientnet-b0",
            "imagenet",
            "efficientnet-b0_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "efficientnet-b0",
            "noisy-student",
            "efficientnet-b0_noisy-student_notop.h5",
            marks=pytest.mark.slow,
        ),
        ("mobilenet-0.25", "imagenet", "mobilenet_2_5_224_tf_no_top.h5"),
    ],
)
def test_published_weights_come_from_the_cache_or_from_a_file(
    backbone: str,
    weights: str,
    file: str,
    keras_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"backbone": backbone, "size": 64}
    source = body(network.build(resolve(options=options | {"weights": "none"})))
    cached = keras_home / "models" / file
    save_as_published(source, cached)
    content = cached.read_bytes()
    digests = {
        "imagenet": (hashlib.sha256(content).hexdigest(), published.IMAGENET_WEIGHTS_HASHES),
        "noisy-student": (hashlib.md5(content).hexdigest(), published.NS_WEIGHTS_HASHES),
    }
    digest, table = digests[weights]
    monkeypatch.setitem(table, "efficientnet-b0", ("", digest))
    mine = keras_home / "mine.h5"
    mine.write_bytes(content)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    for way in (weights, str(mine)):
        loaded = body(network.build(resolve(options=options | {"weights": way})))
        np.testing.assert_allclose(source(pixels), loaded(pixels), atol=1e-5)
    assert mine.read_bytes() == cached.read_bytes() == content


def test_weights_of_another_network_are_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "other.weights.h5"
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save_weights(file)
    with pytest.raises(DataError, match=r"not weights of mobilenet-0\.25"):
        network.build(resolve(options=SMALL | {"weights": str(file)}))
    assert file.exists()


def test_weights_that_do_not_exist_name_the_choices() -> None:
    with pytest.raises(
        UsageError, match=r"noisy-student is not a file; .* imagenet, maskspot, none"
    ):
        network.build(resolve(options=SMALL | {"weights": "noisy-student"}))


@pytest.mark.parametrize(
    ("backbone", "weights", "file"),
    [
        ("efficientnet-b0", "imagenet", "efficientnet-b0_weights_.*_autoaugment_notop.h5"),
        ("efficientnet-b0", "noisy-student", "efficientnet-b0_noisy-student_notop.h5"),
        ("mobilenet-0.25", "imagenet", "mobilenet_2_5_224_tf_no_top.h5"),
    ],
)
def test_without_a_network_one_line_says_which_file_to_put_where(
    backbone: str, weights: str, file: str, keras_home: Path
) -> None:
    """The package's own download runs, through a proxy that is not there."""
    settings = resolve(options={"backbone": backbone, "weights": weights, "size": 64})
    with pytest.raises(
        DownloadError, match=rf"https://.*/{file} and put it at {keras_home}/models/{file}"
    ) as error:
        network.build(settings)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 4


def test_a_cached_file_with_another_hash_is_never_deleted(keras_home: Path) -> None:
    file = keras_home / "models" / "efficientnet-b0_noisy-student_notop.h5"
    file.write_bytes(b"mine")
    with pytest.raises(DataError, match="its hash differs"):
        network.build(resolve(options={"weights": "noisy-student", "size": 64}))
    assert file.read_bytes() == b"mine"


def test_normalisation_is_inside_the_network() -> None:
    grey = np.full((1, 64, 64, 3), 127.5, np.float32)
    expected = {
        ("efficientnet-b0", "backbone"): (0.5 - np.array([0.485, 0.456, 0.406]))
        / np.array([0.229, 0.224, 0.225]),
        ("mobilenet-0.25", "backbone"): np.zeros(3),
        ("efficientnet-b0", "unit"): np.full(3, 0.5),
    }
    for (backbone, normalisation), value in expected.items():
        model = network.build(
            resolve(
                options={
                    "backbone": backbone, "normalisation": normalisation, "weights": "none",
                    "size": 64,
                }
            )
        )  # fmt: skip
        np.testing.assert_allclose(
            np.asarray(model.get_layer("normalisation")(grey))[0, 0, 0], value, atol=1e-5
        )


@pytest.mark.parametrize(("name", "millions"), [("lite0", 3.4), ("lite1", 4.1), ("lite2", 4.8)])
def test_lite_networks_have_the_parameters_that_their_authors_count(
    name: str, millions: float
) -> None:
    """4.7, 5.4 and 6.1 million (their README), of which 1.28 are ImageNet's last layer."""
    backbone = backbones.BACKBONES[f"efficientnet-{name}"]()
    made = backbone.build(input_shape=(None, None, 3), include_top=False, weights=None)
    count = sum(int(np.prod(each.shape)) for each in made.trainable_weights)
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


def test_frozen_layers_keep_their_weights_and_statistics() -> None:
    model = network.build(resolve(options=SMALL | {"weights": "none", "freeze": 0.5}))
    layers = body(model).layers
    frozen = [layer.trainable for layer in layers]
    assert frozen == [False] * (len(layers) // 2) + [True] * (len(layers) - len(layers) // 2)
    norm = next(layer for layer in layers if "bn" in layer.name)
    before = norm.moving_mean.numpy()
    model(np.full((2, 32, 32, 3), 200, np.float32), training=True)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), before)
