"""What is imported when, and who may import whom."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import maskspot

HEAVY = ("numpy", "onnxruntime", "PIL", "tensorflow", "keras", "cv2", "matplotlib")
SOURCE = Path(maskspot.__file__).parent

# Part of maskspot -> the other parts it may import; those not named are free.
MAY_IMPORT = {
    "_version": set(),
    "arguments": {"errors"},
    "archives": {"errors"},
    "checking": {
        *("cpus", "datasets", "errors", "evaluation", "files", "images", "outputs", "progress"),
    },
    "comparing": {
        *("arguments", "csv_tables", "datasets", "errors", "evaluation", "exporting", "inputs"),
        *("model", "progress", "scoring", "training"),
    },
    "cpus": set(),
    "csv_tables": {"errors"},
    "datasets": {"arguments", "csv_tables", "errors", "files", "images", "inputs", "progress"},
    "decoding": {"errors"},
    "engines": {
        "arguments",
        "errors",
        "extras",
        "images",
        "inputs",
        "model",
        "outputs",
        "progress",
        "scoring",
    },
    "environment": {"errors"},
    "errors": set(),
    "evaluation": {
        *("arguments", "cpus", "csv_tables", "datasets", "errors", "images", "inputs", "model"),
        *("parallel", "progress", "scoring"),
    },
    "exporting": {
        *("arguments", "cpus", "csv_tables", "datasets", "errors", "evaluation", "extras"),
        *("files", "images", "model", "outputs", "progress", "training"),
    },
    "extras": {"errors"},
    "files": {"errors"},
    "images": {"decoding", "errors"},
    "inputs": {"archives", "arguments", "csv_tables", "errors", "images", "proxies"},
    "model": {
        "_version",
        "arguments",
        "cpus",
        "errors",
        "files",
        "images",
        "parallel",
        "safe_paths",
    },
    "outputs": {"arguments", "csv_tables", "errors", "extras", "files", "inputs", "model"},
    "parallel": set(),
    "progress": set(),
    "proxies": {"errors"},
    "reporting": {
        *("_version", "checking", "cpus", "errors", "evaluation", "files", "images", "inputs"),
        *("model", "parallel", "progress"),
    },
    "safe_paths": {"errors"},
    "scoring": {
        *("arguments", "environment", "errors", "files", "images", "inputs", "model", "outputs"),
        *("parallel", "progress", "reporting"),
    },
    "serving": {
        *("_version", "arguments", "environment", "errors", "extras", "images", "model"),
        "progress",
    },
    "training": {
        *("_version", "arguments", "checking", "csv_tables", "datasets", "errors", "evaluation"),
        *("extras", "files", "images", "model", "progress"),
    },
    "zindi": {
        *("_version", "archives", "arguments", "csv_tables", "datasets", "errors", "extras"),
        *("files", "progress", "proxies", "safe_paths"),
    },
}


def python(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter."""
    words = [sys.executable, "-c", script]
    return subprocess.run(words, check=False, capture_output=True, text=True)


def loaded_by(code: str) -> set[str]:
    """Return the heavy modules that a fresh interpreter has loaded after `code`."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
    script += f"print('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))"
    done = python(script)
    assert done.returncode == 0, done.stderr
    assert "LOADED" in done.stdout
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import maskspot",
        "import maskspot; maskspot.__version__",
        *(
            f"sys.argv = ['maskspot', *{words!r}]; from maskspot.cli import main; main()"
            for words in (
                ["--help"],
                ["--version"],
                *([each, "--help"] for each in ("predict", "train", "export", "fetch", "check")),
                *([each, "--help"] for each in ("evaluate", "compare", "info", "serve")),
            )
        ),
    ],
)
def test_help_and_version_load_nothing_heavy(code: str) -> None:
    assert loaded_by(code) == set()


def test_predict_never_loads_tensorflow(pictures: Path) -> None:
    words = ["predict", str(pictures)]
    code = f"sys.argv = ['maskspot', *{words!r}]; from maskspot.cli import main; main()"
    assert loaded_by(code) == {"numpy", "onnxruntime", "PIL"}


def test_dependencies_point_one_way() -> None:
    wrong = []
    for file in SOURCE.rglob("*.py"):
        part = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        allowed = MAY_IMPORT.get(part)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("maskspot"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                parts = {name.split(".")[1] for name in names}
                parts = {"_version" if each == "__version__" else each for each in parts}
                if allowed is not None and not parts <= {part, *allowed}:
                    wrong.append(f"{file.name} imports {parts - allowed}")
    assert not wrong
    assert set(MAY_IMPORT) <= {path.stem for path in SOURCE.iterdir()}


def test_train_and_export_without_their_extra_say_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "mask").mkdir()
    both = ["compare", "--train", "vgg16", "--data", str(tmp_path)]
    for words in (["train", str(tmp_path)], ["export", str(tmp_path)], both):
        code = (
            "import sys, maskspot.extras as e; e._TRAIN = ('no_such_module',); "
            f"sys.argv = ['maskspot', *{words!r}]; from maskspot.cli import main; main()"
        )
        done = python(code)
        assert done.returncode == 2
        what = "train" if words == both else words[0]
        assert done.stderr == (
            f"error: maskspot {what} needs more packages: pip install 'maskspot[train]'\n"
        )


@pytest.mark.parametrize("setting", [None, "0"])
def test_onnxruntime_tells_nobody_what_it_runs_unless_one_wants_it_to(
    tmp_path: Path, setting: str | None
) -> None:
    """What it would send waits in files below HOME; so does the number that it gives a machine."""
    clean = {"PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path)}
    if setting is not None:
        clean["ORT_DISABLE_TELEMETRY"] = setting
    code = "import os, maskspot; maskspot.load('fast'); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == (setting or "1")
    if setting is None:
        assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "words",
    [
        *([], ["-m", "fast"], ["--model", "fast"], ["-mfast"], ["--model=fast"]),
        *(["--draft"], ["--device=cpu"], ["--batch-size", "2"], ["--max-pixels", "999999"]),
    ],
)
def test_a_prediction_opens_the_model_that_it_is_asked_for_and_no_other(
    pictures: Path, words: list[str]
) -> None:
    script = f"""
import sys
from maskspot.model.predictor import Predictor
begin = Predictor.__init__
def told(self, model, **options):
    print("OPENED", model, options["draft"], options["batch_size"])
    begin(self, model, **options)
Predictor.__init__ = told
sys.argv = ["maskspot", "predict", "-q", {str(pictures)!r}, *{words!r}]
from maskspot.cli import main
main()
"""
    done = python(script)
    opened = [line for line in done.stdout.splitlines() if line.startswith("OPENED")]
    model = "fast" if "fast" in "".join(words) else "default"
    draft = True if words == ["--draft"] else None
    assert opened == [f"OPENED {model} {draft} {2 if '2' in words else None}"]
