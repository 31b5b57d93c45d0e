"""Probabilities for folders where masks are rare, or common."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot import Predictor
from maskspot.errors import UsageError
from maskspot.model.priors import at_prior

shares = st.floats(1e-6, 1 - 1e-6)


@given(st.floats(1e-9, 1 - 1e-9), shares, shares)
def test_another_prior_adds_the_same_to_every_logit(p: float, prior: float, new: float) -> None:
    def logit(value: float) -> float:
        return float(np.log(value) - np.log1p(-value))

    moved = float(at_prior(p, prior, new))
    assert 0 <= moved <= 1
    if 1e-9 < moved < 1 - 1e-9:
        assert logit(moved) - logit(p) == pytest.approx(logit(new) - logit(prior), abs=1e-5)


def test_the_same_prior_and_certainty_change_nothing() -> None:
    p = np.array([0.0, 1e-300, 0.3, 1.0])
    np.testing.assert_allclose(at_prior(p, 0.5, 0.5), p, rtol=1e-12)
    assert at_prior([0.0, 1.0], 0.5, 0.01).tolist() == [0.0, 1.0]


def test_a_prediction_is_for_the_prior_that_it_is_asked_for(pictures: Path) -> None:
    plain = Predictor("default")
    rare = Predictor("default", prior=0.01)
    file = next(pictures.iterdir())
    before, after = plain.predict(file).probability, rare.predict(file).probability
    assert after == pytest.approx(float(at_prior(before, plain.info.prior, 0.01)))


@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0, float("nan")])
def test_a_prior_lies_between_0_and_1(prior: float) -> None:
    with pytest.raises(UsageError, match="must be between 0 and 1"):
        Predictor("default", prior=prior)


def test_the_command_line_takes_the_prior(pictures: Path, tmp_path: Path, cli) -> None:  # type: ignore[no-untyped-def]
    output = tmp_path / "rare.csv"
    assert (
        cli("predict", pictures, "-q", "-m", "default", "--prior", "0.01", "-o", output).code == 0
    )
    assert cli("predict", pictures, "-q", "-o", tmp_path / "even.csv").code == 0
    first, second = ((tmp_path / f"{name}.csv").read_text() for name in ("rare", "even"))
    assert first != second
