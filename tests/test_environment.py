"""Whatever a process inherits: it works, or one line names the variable."""

import http.server
import io
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot import cli as command_line
from maskspot import environment
from maskspot.environment import starting_processes
from maskspot.errors import UsageError
from maskspot.proxies import check_certificates, is_exempt, proxy_for

Run = Callable[..., Any]
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        for each in (name, name.upper()):
            monkeypatch.delenv(each, raising=False)


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy on loopback, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b'{"data": 7}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("size", ["0", "-1", "1", "²", "abc", "", "99999999", " "])
@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_a_table_is_shown_whatever_size_a_terminal_says_it_has(
    cli: Run, monkeypatch: pytest.MonkeyPatch, name: str, size: str
) -> None:
    monkeypatch.setenv(name, size)
    result = cli("info", "fast")
    assert (result.code, result.err) == (0, "")
    assert "onnxruntime" in result.out
    assert "fast" in result.out


@pytest.mark.parametrize("option", ["-Werror", "-O", "-I", "-E", "-bb"])
def test_pythons_own_options_change_nothing(option: str) -> None:
    names = {"COLUMNS": "0", "TERMINAL_WIDTH": "wide", "TERM": "", "LC_ALL": "C"}
    words = [sys.executable, option, "-m", "maskspot", "--help"]
    done = subprocess.run(
        words, check=False, capture_output=True, env={**os.environ, **names}, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "predict" in done.stdout


@pytest.mark.parametrize("option", ["", "-E", "-I", "-OO", "-Werror"])
def test_photos_are_scored_whatever_python_is_told_and_nothing_beside_them_runs(
    option: str, pictures: Path, tmp_path: Path
) -> None:
    """Also without a home, a locale and in a folder of somebody else."""
    program = tmp_path / "program.py"
    root = Path(command_line.__file__).parents[2]
    lines = ["import sys", f"sys.path.insert(0, {str(root)!r})", "from maskspot.cli import main"]
    program.write_text("\n".join([*lines, "if __name__ == '__main__':", "    main()"]))
    for name in ("multiprocessing", "numpy", "json", "sitecustomize"):
        (pictures / f"{name}.py").write_text(f"open('ran-{name}', 'w').close()\n")
    names = {key: value for key, value in os.environ.items() if key != "HOME"}
    words = ["predict", ".", "-m", "fast", "--processes", "2", "--threads", "2", "-q"]
    done = subprocess.run(
        [sys.executable, *filter(None, [option]), str(program), *words],
        cwd=pictures,
        env={**names, "LC_ALL": "C"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 7
    assert not list(pictures.glob("ran-*"))


def test_no_warning_ends_a_command() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        environment.calm_warnings()
        warnings.warn("of a library", UserWarning, stacklevel=1)
        warnings.warn("of a library", DeprecationWarning, stacklevel=1)
    assert [each.category for each in seen] == [UserWarning]


def test_a_terminal_without_unicode_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    environment.prepare()
    print("café", flush=True)
    assert raw.getvalue() == b"caf\\xe9\n"


@pytest.mark.parametrize("words", [["info"], ["predict", "a.jpg"], ["check", "."]])
def test_without_threads_every_command_is_one_line(
    cli: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    result = cli(*words)
    assert result.code == 3
    assert result.err.startswith("error: no thread can be started: raise the limit")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_threads_that_run_out_later_are_no_interruption(
    cli: Run, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """OpenBLAS sends its own process the signal of Ctrl-C where it gets no thread."""

    def fail(_: object) -> None:
        monkeypatch.setattr(command_line, "can_start_threads", lambda: False)
        raise kind("can't start new thread")

    monkeypatch.setattr(command_line, "build", fail)
    result = cli("info")
    assert result.code == 3
    assert result.err.startswith("error: no thread can be started")


def test_a_backend_that_is_not_there_is_not_needed() -> None:
    pytest.importorskip("matplotlib", reason="needs maskspot[report]")
    script = """
import os
from maskspot.extras import import_matplotlib
import_matplotlib()
import matplotlib
from matplotlib.figure import Figure
print(os.environ["MPLBACKEND"], dict.__getitem__(matplotlib.rcParams, "backend") == "svg")
"""
    for backend, kept in (("module://matplotlib_inline.backend_inline", False), ("svg", True)):
        names = {**os.environ, "MPLBACKEND": backend}
        done = subprocess.run(
            [sys.executable, "-c", script], env=names, check=True, capture_output=True, text=True
        )
        assert done.stdout.split() == [backend, str(kept)]


@pytest.mark.train
def test_keras_is_set_up_as_networks_need_it_whatever_the_users_file_says() -> None:
    keras = pytest.importorskip("keras", reason="needs maskspot[train]")
    from maskspot.extras import require_train

    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    require_train("this")
    assert keras.config.image_data_format() == "channels_last"
    assert keras.config.floatx() == "float32"


@pytest.mark.train
@pytest.mark.slow
def test_a_file_that_keras_refuses_is_named(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs maskspot[train]")
    (tmp_path / "keras.json").write_text('{"floatx": "int8"}')
    done = subprocess.run(
        [sys.executable, "-m", "maskspot", "train", str(tmp_path)],
        env={**os.environ, "KERAS_HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/keras.json: Keras cannot use it")


def test_without_a_home_there_is_no_kept_token(monkeypatch: pytest.MonkeyPatch) -> None:
    platformdirs = pytest.importorskip("platformdirs", reason="needs maskspot[fetch]")
    from maskspot.zindi.credentials import find_token, kept_file

    def fail(_: str) -> None:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_config_path", fail)
    monkeypatch.delenv("MASKSPOT_ZINDI_TOKEN", raising=False)
    assert find_token(None) is None
    with pytest.raises(UsageError, match=r"^HOME: "):
        kept_file()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("http_proxy", "http://p:1", "http://p:1"),
        ("HTTP_PROXY", "p:1", "http://p:1"),
        ("HTTP_PROXY", "HTTP://u:s@p:1/", "http://u:s@p:1/"),
        ("ALL_PROXY", "https://p:1", "https://p:1"),
        ("all_proxy", " p ", "http://p"),
        ("https_proxy", "http://p:1", None),
        ("http_proxy", "", None),
    ],
)
def test_a_proxy_is_found_in_every_spelling(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str | None
) -> None:
    monkeypatch.setenv(name, value)
    assert proxy_for("http://example.org/a.png") == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("socks5://127.0.0.1:9", "a SOCKS proxy"),
        ("socks://127.0.0.1:9/", "a SOCKS proxy"),
        ("ftp://h:1", "ftp:// is not a kind of proxy"),
        ("http://u:secret@h:port", "not the address of a proxy"),
        ("http://", "not the address of a proxy"),
        ("http://[::1", "not the address of a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(UsageError, match=f"^ALL_PROXY: {words}") as caught:
        proxy_for("https://example.org/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("exceptions", "host", "port", "exempt"),
    [
        ("localhost,[::1]", "::1", 80, True),
        ("localhost,::1", "::1", 80, True),
        ("[::1]:8080", "::1", 80, False),
        ("fd07:b51a:cc66:f0::/64", "fd07:b51a:cc66:f0::7", 80, True),
        ("fd07:b51a:cc66:f0::/64", "127.0.0.1", 80, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "ten.example.org", 443, False),
        (".example.org", "a.example.org", 443, True),
        ("*.example.org", "a.example.org", 443, True),
        ("example.org", "a.Example.org.", 443, True),
        ("example.org", "notexample.org", 443, False),
        ("example.org:8080", "example.org", 8080, True),
        ("example.org:8080", "example.org", 443, False),
        ("a b,*", "example.org", 443, True),
        ("", "example.org", 443, False),
        (". , ,", "example.org", 443, False),
    ],
)
def test_no_proxy_is_understood_in_every_spelling(
    exceptions: str, host: str, port: int, exempt: bool
) -> None:
    assert is_exempt(host, port, exceptions) is exempt


@given(st.text(), st.text(), st.text())
def test_no_spelling_of_a_proxy_raises_anything_else(
    value: str, exceptions: str, host: str
) -> None:
    is_exempt(host, 443, exceptions)
    with pytest.MonkeyPatch.context() as patch:
        with suppress(ValueError):  # a NUL in it
            patch.setenv("http_proxy", value.encode("utf-8", "replace").decode())
        with suppress(UsageError):
            proxy_for("http://example.org/")


def test_the_service_is_asked_through_the_proxy_that_is_set(
    monkeypatch: pytest.MonkeyPatch, proxy: tuple[str, list[str]]
) -> None:
    pytest.importorskip("httpx", reason="needs maskspot[fetch]")
    from maskspot.zindi.http import Http

    at, asked = proxy
    monkeypatch.setenv("HTTP_PROXY", at)
    monkeypatch.setenv("no_proxy", "[::1],fd07:b51a:cc66:f0::/64")
    client = Http("http://localhost")
    assert client.ask("GET", "/x") == 7
    client.close()
    assert asked == ["http://localhost/x"]


def test_images_at_urls_are_asked_for_through_the_proxy_that_is_set(
    cli: Run, monkeypatch: pytest.MonkeyPatch, proxy: tuple[str, list[str]]
) -> None:
    pytest.importorskip("fsspec", reason="needs maskspot[remote]")
    pytest.importorskip("aiohttp", reason="needs maskspot[remote]")
    at, asked = proxy
    monkeypatch.setenv("HTTP_PROXY", at)
    assert cli("predict", "-q", "-m", "fast", "http://photos.example.org/a.png").code == 1
    assert asked == ["http://photos.example.org/a.png"]
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")
    result = cli("predict", "-q", "-m", "fast", "http://photos.example.org/a.png")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "HTTP_PROXY: a SOCKS proxy" in result.err


def test_certificates_that_are_not_there_are_told_by_their_variable(
    cli: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("httpx", reason="needs maskspot[fetch]")
    (tmp_path / "empty.pem").write_text("nothing")
    monkeypatch.setenv("MASKSPOT_ZINDI_TOKEN", "t" * 20)
    for name, value, why in (
        ("SSL_CERT_FILE", tmp_path / "gone.pem", "No such file"),
        ("SSL_CERT_FILE", tmp_path / "empty.pem", "no certificates in it"),
        ("SSL_CERT_DIR", tmp_path / "gone", "no such folder"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(value))
            result = cli("leaderboard", "--url", "http://127.0.0.1:9")
            assert result.code == 2
            assert result.err.startswith(f"error: {name}: {value}: {why}")
    check_certificates()


def test_processes_are_started_with_settings_that_are_put_back_whatever_threads_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    program = sys.modules["__main__"]

    def start(_: int) -> str | None:
        with starting_processes():
            assert sys.modules["__main__"] is not program
            time.sleep(0.01)
            return os.environ["PYTHONSAFEPATH"]

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(start, range(12))) == {"1"}
    assert sys.modules["__main__"] is program
    assert os.environ["PYTHONSAFEPATH"] == ""
