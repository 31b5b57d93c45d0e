import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from maskspot.errors import UsageError
from maskspot.images import FILTERS, FITS
from maskspot.training.presets import PRESETS, resolve
from maskspot.training.settings import Settings


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_options_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", 'preset = "seed"\nepochs = 7\nbatch_size = 9\n')
    settings = resolve(file=file, options={"epochs": 3})
    assert (settings.epochs, settings.batch_size, settings.rotation) == (3, 9, 20.0)
    assert resolve("default", file).rotation == Settings().rotation


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = write(tmp_path / "a.toml", "epochs = 7\nzoom = 1e-1\nhorizontal_flip = false\n")
    text = json.dumps({"epochs": 7, "zoom": 0.1, "horizontal_flip": False})
    assert resolve(file=toml) == resolve(file=write(tmp_path / "a.json", text))


def test_resolved_settings_read_back_as_they_were(tmp_path: Path) -> None:
    settings = resolve("seed", options={"labels": "x.csv", "seed": 5})
    assert resolve(file=write(tmp_path / "settings.json", settings.to_json())) == settings


@pytest.mark.parametrize(
    ("name", "near"),
    [("epoch", "epochs"), ("batchsize", "batch_size"), ("lr_rate", "learning_rate")],
)
def test_an_unknown_setting_is_refused_with_the_nearest(
    tmp_path: Path, name: str, near: str
) -> None:
    file = write(tmp_path / "a.toml", f"{name} = 1\n")
    with pytest.raises(UsageError, match=rf"a\.toml: unknown setting '{name}'.*'{near}'"):
        resolve(file=file)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs: 0 is not from 1 to"),
        ({"epochs": 2.5}, "epochs: 2.5 is not an integer"),
        ({"epochs": True}, "epochs: True is not an integer"),
        ({"epochs": "3"}, "epochs: '3' is not an integer"),
        ({"horizontal_flip": 1}, "horizontal_flip: 1 is not true or false"),
        ({"zoom": -0.1}, "zoom"),
        ({"zoom": 1.0}, "zoom: 1.0 is not from 0 to 0.9"),
        ({"rotation": 1e9}, "rotation"),
        ({"epochs": 10**28}, "epochs"),
        ({"seed": 2**40}, "seed"),
        ({"size": 5000}, "size: 5000 is not from 32 to 4096"),
        ({"learning_rate": 10**400}, "learning_rate"),
        ({"weights": None}, "weights: None is not a text"),
        ({"rotation": float("nan")}, "rotation"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"dropout": 1.0}, "dropout"),
        ({"validation": 0.0}, "validation"),
        ({"backbone": "resnet"}, "backbone: 'resnet' is not one of efficientnet-b0"),
        ({"weights": 3}, "weights: 3 is not a text"),
        ({"backbone": None}, "backbone"),
    ],
)
def test_a_value_out_of_range_names_its_setting(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve(options=values)


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'best' is not one of default, seed"):
        resolve("best")
    with pytest.raises(UsageError, match=r"a\.toml: preset: \['seed'\] is not one of"):
        resolve(file=write(tmp_path / "a.toml", 'preset = ["seed"]'))


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", "epochs = "), ("a.json", "{"), ("a.json", "[1]"), ("a.json", "[" * 100_000)],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UsageError, match=name) as error:
        resolve(file=write(tmp_path / name, text))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        resolve(file=tmp_path / "none.toml")


def test_the_preset_seed_is_the_original_recipe() -> None:
    seed = PRESETS["seed"]
    expected = {
        "filter": "nearest", "fit": "squash", "size": 256, "normalisation": "unit",
        "rotation": 20.0, "zoom": 0.15, "shear": 0.15, "width_shift": 0.2, "height_shift": 0.2,
        "fill": "nearest", "horizontal_flip": False, "optimizer": "adam", "amsgrad": True,
        "learning_rate": 1e-3, "batch_size": 4, "dropout": 0.2, "epochs": 70, "validation": 0.2,
        "patience": 15, "schedule": "plateau", "plateau_factor": 0.1, "plateau_patience": 10,
        "plateau_floor": 1e-5, "keep": "best", "partial_batches": True, "ema": 0.0,
        "backbone": "efficientnet-b0",
    }  # fmt: skip
    assert {name: getattr(seed, name) for name in expected} == expected


def test_the_original_config_json_maps_to_the_preset_seed(tmp_path: Path) -> None:
    original = {
        "im_width": 128, "im_height": 128, "compressFolder": "zip", "TestFolder": "Test",
        "TrainFolder": "Train", "compressFile": "images.zip", "Epochs": 5, "Batch": 8,
        "Dropout": 0.3, "Model_Path": "model.h5", "LabelFiles": "train_labels.csv",
    }  # fmt: skip
    settings = resolve(file=write(tmp_path / "config.json", json.dumps(original)))
    expected = {"size": 128, "epochs": 5, "batch_size": 8, "dropout": 0.3}
    assert settings == resolve("seed", options=expected | {"labels": "train_labels.csv"})
    write(tmp_path / "config.json", json.dumps(original | {"im_height": 64}))
    with pytest.raises(UsageError, match="must be the same"):
        resolve(file=tmp_path / "config.json")
    write(tmp_path / "config.json", json.dumps(original | {"Epoch": 64}))
    with pytest.raises(UsageError, match="'Epoch'; did you mean 'Epochs'"):
        resolve(file=tmp_path / "config.json")


def test_choices_are_those_of_the_code_that_obeys_them() -> None:
    choices = {spec.name: spec.metadata["choices"] for spec in fields(Settings)}
    assert set(choices["filter"]) == set(FILTERS)
    assert choices["fit"] == FITS


def test_options_of_train_show_choices_and_the_defaults_of_settings(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = " ".join(cli("train", "--help").out.split())
    assert "--fit squash|pad How an image becomes square. [default: squash]" in text
    assert "--srgb / --no-srgb Convert images with an ICC profile to sRGB. [default: srgb]" in text
    options = [f"--{spec.name.replace('_', '-')} " for spec in fields(Settings)]
    assert all(option in text for option in options)


def test_an_option_that_is_out_of_range_is_named_as_it_was_typed(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    result = cli("train", tmp_path, "--batch-size", "0")
    assert (result.code, result.err) == (2, "error: --batch-size: 0 is not from 1 to 1e+06\n")
