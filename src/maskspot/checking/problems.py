"""What can be wrong with a data set."""

from dataclasses import dataclass

KINDS = {
    "conflict": "one picture twice, labelled 0 and 1",
    "missing": "a CSV names it, and there is no file",
    "unreadable": "cannot be decoded",
    "one-class": "no image of a class",
    "near-conflict": "alike, labelled 0 and 1",
    "label": "the label is likely wrong",
    "duplicate": "one picture twice",
    "near-duplicate": "alike",
    "leak": "a property of files tells the label",
    "balance": "a class is rare",
    "size": "unusual size",
    "extra": "in no CSV",
}
"""Each kind of problem, gravest first."""

FATAL = ("conflict", "missing", "unreadable", "one-class")
"""Kinds that training stops at, or learns nonsense or nothing from."""


@dataclass(frozen=True)
class Problem:
    """Something that is, or may be, wrong.

    Attributes:
        kind: of `KINDS`.
        image: which one, as the labels name it; empty where it is about all.
        other: the image that it is a copy of.
        detail: in words.
        score: from 0 to 1, how alike, how likely wrong, how telling; None where it is a fact.
    """

    kind: str
    image: str = ""
    other: str = ""
    detail: str = ""
    score: float | None = None
