"""Facts about images, and weights under which they no longer predict the label."""

from pathlib import Path

import numpy as np
import pytest

from maskspot.datasets.facts import read_fact
from maskspot.datasets.labels import read_folders
from maskspot.errors import DataError, UsageError
from maskspot.training.balance import LIMIT, balance, inverse_propensity, one_hot, predictability


def biased(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Three sources with 80, 50 and 10 % masks."""
    rng = np.random.default_rng(0)
    source = rng.integers(0, 3, count)
    targets = rng.random(count) < np.array([0.8, 0.5, 0.1])[source]
    return one_hot([str(each) for each in source]), targets.astype(np.float32)


def test_sources_that_give_labels_away_no_longer_do() -> None:
    features, targets = biased()
    before, after = predictability(features, targets, inverse_propensity(features, targets))
    assert before > 0.75
    assert after < 0.53


def test_weights_are_bounded_and_both_classes_count_alike() -> None:
    features, targets = biased()
    weights = inverse_propensity(features, targets)
    assert weights.mean() == pytest.approx(1, abs=1e-3)
    assert weights[targets == 1].sum() == pytest.approx(weights[targets == 0].sum(), rel=1e-3)
    assert weights.max() / weights.min() <= 2 * LIMIT**2


def test_where_nothing_tells_the_label_all_images_of_a_class_count_alike() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random(5000) < 0.25).astype(np.float32)
    weights = inverse_propensity(one_hot(list("ab" * 2500)), targets)
    assert np.ptp(weights[targets == 1]) < 0.2
    assert weights[targets == 1].mean() == pytest.approx(2, rel=0.1)


def with_sources(data: Path, rows: str) -> Path:
    (data / "sources.csv").write_text(rows)
    return data


def test_facts_are_read_for_each_image_in_order(demo_data: Path) -> None:
    images = read_folders([demo_data])
    lines = [f"{item.name},{'odd' if at % 2 else 'even'}" for at, item in enumerate(images)]
    file = demo_data.parent / "facts.csv"
    file.write_text("\n".join(["image,source", *reversed(lines)]))
    assert read_fact("source", [demo_data], images, str(file))[:4] == ["even", "odd"] * 2


def test_a_missing_column_or_row_is_named(demo_data: Path, tmp_path: Path) -> None:
    images = read_folders([demo_data])
    file = tmp_path / "facts.csv"
    file.write_text(f"image,source\n{images[0].name},x\n")
    with pytest.raises(UsageError, match="has no column kind: image, source"):
        read_fact("kind", [demo_data], images, str(file))
    with pytest.raises(DataError, match=images[1].name):
        read_fact("source", [demo_data], images, str(file))


def test_a_data_set_is_weighted_by_files_and_facts(demo_data: Path, tmp_path: Path) -> None:
    images = read_folders([demo_data])
    targets = np.array([item.target for item in images], np.float32)
    targets[3] = np.nan
    rng = np.random.default_rng(0)
    lines = [f"{each.name},{'abc'[rng.integers(0, 2 + each.target)]}" for each in images]
    (tmp_path / "images").symlink_to(demo_data / "images")
    (tmp_path / "sources.csv").write_text("\n".join(["image,source", *lines]))
    found = balance([demo_data], images, targets, [])
    assert found.weights[3] == 0
    assert found.weights.sum() == pytest.approx(len(images) - 1, rel=1e-3)
    assert 0 <= found.after <= 1
