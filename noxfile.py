"""Parts of the checks, each in an environment of its own: `nox -s lint`, `nox -s fast`.

`nox` alone runs lint, types and fast. `.ci/run` runs everything from a clean clone.
"""

import nox

nox.options.sessions = ["lint", "types", "fast"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install("ruff>=0.12")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types; OpenCV's come with the `train` extra."""
    session.install("-e", ".[train,dev]")
    session.run("mypy", *session.posargs)


@nox.session
def fast(session: nox.Session) -> None:
    """Run the tests that need no TensorFlow."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-m", "not train and not slow", *session.posargs)


@nox.session
def train(session: nox.Session) -> None:
    """Run the tests of training and exporting."""
    session.install("-e", ".[train,dev]")
    session.run("pytest", "-m", "train and not slow", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests that take more than ten seconds each."""
    session.install("-e", ".[train,dev]")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into `site`."""
    session.install("-e", ".[docs]")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
