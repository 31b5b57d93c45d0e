import json
from dataclasses import replace
from pathlib import Path

import pytest

from maskspot import Predictor, __version__
from maskspot.errors import ModelFileError
from maskspot.images import Preprocessing
from maskspot.model.info import KEY, ModelInfo, read_info
from maskspot.model.shipped import find_model

INFO = ModelInfo("mine", Preprocessing(64, "pad", "lanczos"), "efficientnet-b0", {"auc": 0.5})


def test_what_is_written_is_read_back() -> None:
    assert read_info({KEY: INFO.to_json()}, "m.onnx") == INFO


def test_names_of_a_later_version_are_ignored() -> None:
    values = json.loads(INFO.to_json()) | {"colour": "blue"}
    assert read_info({KEY: json.dumps(values)}, "m.onnx") == INFO


def test_a_later_format_says_which_version_to_install() -> None:
    later = replace(INFO, format=2, maskspot="9.9")
    with pytest.raises(
        ModelFileError, match=rf"m\.onnx: .*9\.9 in format 2.*{__version__}.*pip install -U"
    ):
        read_info({KEY: later.to_json()}, "m.onnx")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        replace(INFO, format=0).to_json(),
        replace(INFO, format="1").to_json(),  # type: ignore[arg-type]
        INFO.to_json().replace("64", '"64"'),
        INFO.to_json().replace("lanczos", "sharpest"),
        INFO.to_json().replace('"passes": 1', '"passes": 1e400'),
        INFO.to_json().replace('"passes": 1', '"passes": 0'),
        INFO.to_json().replace('"metrics": {', '"metrics": {"a": ' + "[" * 20 + "]" * 20 + ", "),
        INFO.to_json().replace('"metrics": {', f'"metrics": {{"a": {2**64}, '),
        INFO.to_json().replace(f'"name": "{INFO.name}"', '"name": null'),
        INFO.to_json().replace(f'"name": "{INFO.name}"', f'"name": "{"n" * 2000}"'),
        "[" * 100_000,
    ],
)
def test_damaged_metadata_are_one_line_that_names_the_file(text: str) -> None:
    with pytest.raises(ModelFileError, match=r"m\.onnx: its metadata are damaged") as error:
        read_info({KEY: text}, "m.onnx")
    assert "\n" not in str(error.value)


def test_another_tools_onnx_file_is_told_apart() -> None:
    with pytest.raises(ModelFileError, match="but not of maskspot"):
        read_info({}, "m.onnx")


def test_the_shipped_model_says_what_it_is(predictor: Predictor) -> None:
    info = predictor.info
    assert info.backbone == "efficientnet-lite0"
    assert info.question == "at least one face mask is visible"
    assert info.metrics["auc"] > 0.97
    assert info.training["settings"]["size"] == info.preprocessing.size
    assert "/" not in json.dumps(info.training["data"])


@pytest.mark.parametrize("cut", [0, 10, 1000, -1000])
def test_a_damaged_model_file_is_one_line(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(find_model("fast").read_bytes()[:cut])
    with pytest.raises(ModelFileError, match=r"m\.onnx: ") as error:
        Predictor(file)
    assert "\n" not in str(error.value)


def test_a_graph_that_is_not_what_its_metadata_say_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    data = find_model("fast").read_bytes()
    size = f'"size": {Predictor("fast").info.preprocessing.size},'.encode()
    assert size in data
    file.write_bytes(data.replace(size, size.replace(size[-4:-1], b"192")))
    with pytest.raises(ModelFileError, match="its graph does not match its metadata"):
        Predictor(file)


def test_a_missing_model_lists_the_shipped_ones() -> None:
    with pytest.raises(ModelFileError, match=r"nothing\.onnx: neither .* \(.*fast.*\)"):
        Predictor("nothing.onnx")
