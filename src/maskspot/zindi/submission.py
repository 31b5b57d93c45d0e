"""Submissions: checked before one of the few of a day is spent, sent, and scored."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePath

from maskspot.errors import DataError, ServiceError, UsageError
from maskspot.progress import SILENT, Progress
from maskspot.zindi.account import Ask, ZindiAccount, connect

ROUNDED = 4
"""Decimal places: if no probability has more, they are taken to be rounded."""


@dataclass(frozen=True)
class ScoredSubmission:
    """A submission that was scored.

    Attributes:
        id: the identifier that the service gave it.
        public_score: its score on the public part of the test set.
        public_rank: the user's rank on the leaderboard; None without one.
    """

    id: str
    public_score: float | None
    public_rank: int | None


def submit(
    file: str | PurePath,
    sample: str | PurePath | None = None,
    message: str = "maskspot",
    account: ZindiAccount | None = None,
    ask: Ask | None = None,
    progress: Progress = SILENT,
) -> ScoredSubmission:
    """Check a submission, send it, and wait for its score.

    Args:
        file: the submission.
        sample: the sample submission to check it against; by default the one in `data/`.
        message: the comment to send with it.
        account: the competition of Zindi, and who takes part in it.
        ask: asks a person for the password of `account`, where that is needed.
        progress: told what is done, and what is doubtful about the submission.

    Raises:
        UsageError: there is no sample, or no token.
        DataError: the submission does not fit the sample.
        ServiceError: Zindi does not answer or refuses, or no submission is left today.
    """
    file = Path(file)
    check_submission(file, sample, progress)
    with connect(account, ask, progress) as zindi:
        zindi.join()
        left = zindi.submissions_left()
        progress.say(f"submissions left today: {left}")
        if left < 1:
            raise ServiceError("no submission is left today; try again tomorrow")
        with progress.step("sending"):
            id = zindi.submit(file, message)
        progress.say(f"sent as {id}; waiting for its score")
        with progress.step("waiting for the score"):
            result, own = zindi.result(id), zindi.own()
    return ScoredSubmission(id, result.public_score, own.rank if own else None)


def check_submission(
    file: str | PurePath, sample: str | PurePath | None = None, progress: Progress = SILENT
) -> list[str]:
    """Check a submission against the sample.

    Args:
        file: the submission.
        sample: the sample submission; by default the one in `data/`.
        progress: told the result.

    Returns:
        What is doubtful about a submission that fits, such as rounded probabilities.

    Raises:
        UsageError: there is no sample.
        DataError: its header, images or their order differ from the sample's, or a probability
            is invalid. The message names the first such row and the number of them.
    """
    file, sample = Path(file), _sample(sample)
    doubts = _doubts(_checked_cells(file, sample))
    for doubt in doubts:
        progress.warn(f"{file}: {doubt}")
    progress.say(f"{file}: fits {sample}")
    return doubts


def _sample(sample: str | PurePath | None) -> Path:
    from maskspot.datasets.survey import find_sample

    found = find_sample(Path("data")) if sample is None else Path(sample)
    if found is None:
        raise UsageError("there is no sample submission in data/; name one with `sample`")
    return found


def _checked_cells(file: Path, sample: Path) -> list[str]:
    """Return the probabilities of a submission that fits the sample, as text."""
    from maskspot.csv_tables import read_rows

    header, rows = read_rows(file, exact=True)
    expected, lines = read_rows(sample)
    if header != expected:
        raise DataError(f"{file}: its header is {','.join(header)}, not {','.join(expected)}")
    names, wanted = [row[0] for row in rows], [row[0] for row in lines]
    _refuse(file, "names images twice", [n for n, count in Counter(names).items() if count > 1])
    _refuse(file, f"lacks images of {sample.name}", sorted(set(wanted) - set(names)))
    _refuse(file, f"has images that {sample.name} lacks", sorted(set(names) - set(wanted)))
    moved = [name for name, place in zip(names, wanted, strict=True) if name != place]
    _refuse(file, f"is not in the order of {sample.name}", moved)
    _refuse(
        file,
        "has targets that are not probabilities from 0 to 1",
        [f"{name} ({cell})" for name, *cells in rows for cell in cells if not _is_valid(cell)],
    )
    return [cell for _, *cells in rows for cell in cells]


def _refuse(file: Path, what: str, found: list[str]) -> None:
    if found:
        raise DataError(f"{file}: {what}: {len(found)}, the first is {found[0]}")


def _is_valid(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1  # false for NaN
    except ValueError:
        return False


def _doubts(cells: list[str]) -> list[str]:
    values = [float(cell) for cell in cells]
    doubts = []
    if sure := sum(value in (0.0, 1.0) for value in values):
        doubts.append(
            f"{sure} of {len(values)} probabilities are exactly 0 or 1; one of them that is wrong "
            "costs more than all the others"
        )
    if all(math.isclose(value, round(value, ROUNDED), abs_tol=1e-12) for value in values):
        doubts.append("the probabilities are rounded, which costs log loss; send all digits")
    if len(set(values)) == 1:
        doubts.append(f"every probability is {values[0]:g}")
    return doubts
