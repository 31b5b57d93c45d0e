"""A client of Zindi, the service that holds the competition.

It acts for its user, with the user's token. The API is not documented: what is known about it
was learned from other clients, and the service may change it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any
from urllib.parse import quote

from maskspot.errors import ServiceError
from maskspot.progress import SILENT, Progress
from maskspot.zindi.competition import BASE_URL, COMPETITION
from maskspot.zindi.download import download
from maskspot.zindi.http import Http, Token, UnsureError

PAGE = 50
"""Rows of the leaderboard in one request."""


@dataclass(frozen=True)
class Submission:
    """One submission.

    Attributes:
        id: its identifier.
        status: `initial` while it waits to be scored, then `successful`, or what went wrong.
        public_score: the score on the public part of the test set; None until it is scored.
        description: what the service says about the status.
    """

    id: str
    status: str
    public_score: float | None
    description: str


@dataclass(frozen=True)
class LeaderboardRow:
    """A row of the leaderboard; without a valid submission, rank and score are None."""

    name: str
    rank: int | None
    score: float | None
    submissions: int


class Zindi:
    """One competition of the service.

    Attributes:
        competition: its slug.
    """

    def __init__(
        self,
        competition: str = COMPETITION,
        base_url: str = BASE_URL,
        token: Callable[[], Token] | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Connect to nothing yet.

        Args:
            competition: its slug, as in the address of its page.
            base_url: address of the API.
            token: called when a token is first needed.
            timeout: seconds without a byte after which an attempt has failed.

        Raises:
            UsageError: the URL is invalid, or would send tokens unencrypted.
        """
        self.competition = competition
        self._http = Http(base_url, timeout)
        self._ask_token = token
        self._token: Token | None = None
        self._path = f"/competitions/{quote(competition, safe='')}"

    def __enter__(self) -> "Zindi":
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._http.close()

    def files(self) -> list[str]:
        """Return the names of the competition's files; no token is needed.

        Raises:
            ServiceError: as in every method, there is no answer, a refusal, or an invalid answer.
        """
        with _understood(self._http):
            found = self._http.ask("GET", self._path)["datafiles"]
            names = list(dict.fromkeys(str(each["filename"]) for each in found))
        strange = [name for name in names if Path(name).name != name or name.startswith(".")]
        if strange or not names:
            raise ServiceError(f"{self.competition}: lists {strange or 'no files'}")
        return names

    def join(self) -> None:
        """Take part in the competition, as downloads require; doing so twice is not an error."""
        token = self.token()
        try:
            self._http.ask("POST", f"{self._path}/participations", token)
        except ServiceError as error:
            if "already" in str(error).lower():
                return
            raise ServiceError(
                f"{error}; join {self.competition} and accept its rules on its page, then run "
                "this again"
            ) from None

    def download(self, name: str, target: Path, progress: Progress = SILENT) -> None:
        """Download one of the competition's files; see `download.download`."""
        path = f"{self._path}/files/{quote(name, safe='')}"
        download(self._http, path, target, self.token(), progress)

    def submissions_left(self) -> int:
        """Return how many submissions are left today."""
        with _understood(self._http):
            return int(self._get("submissions/limits")["today"])

    def submissions(self) -> list[Submission]:
        """Return the user's latest 50 submissions."""
        with _understood(self._http):
            return [_submission(row) for row in self._get("submissions", per_page=50)]

    def submit(self, file: Path, comment: str = "") -> str:
        """Send a submission once, and return its identifier.

        If the connection breaks after the file was sent, the list of the user's submissions
        tells whether it arrived.
        """
        before = {each.id for each in self.submissions()}
        token = self.token()
        try:
            with _understood(self._http):
                answer = self._http.ask(
                    "POST",
                    f"{self._path}/submissions",
                    token,
                    once=True,
                    params={"auth_token": token.value},
                    files={"file": (file.name, file.read_bytes(), "text/plain")},
                    data={"comment": comment},
                )
                return str(answer["id"])
        except UnsureError as error:
            new = [each.id for each in self.submissions() if each.id not in before]
            if len(new) != 1:
                raise ServiceError(
                    f"{error}; according to the service, the submission did not arrive; "
                    "run this again"
                ) from None
            return new[0]

    def result(self, id: str, patience: float = 600.0, every: float = 2.0) -> Submission:
        """Wait until a submission is scored, and return it.

        Args:
            id: what `submit` returned.
            patience: seconds to wait, at most.
            every: seconds between two requests.

        Raises:
            ServiceError: it failed, or was not scored in time.
        """
        until = monotonic() + patience
        while True:
            found = next((each for each in self.submissions() if each.id == id), None)
            if found and found.status == "successful":
                return found
            if found and found.status != "initial":
                raise ServiceError(f"submission {id} {found.status}: {found.description}")
            if monotonic() > until:
                raise ServiceError(f"submission {id} is not scored yet; look for it on the website")
            sleep(every)

    def leaderboard(self, top: int) -> list[LeaderboardRow]:
        """Return the leaderboard's first rows."""
        rows: list[LeaderboardRow] = []
        while len(rows) < top:
            page = self._page(len(rows) // PAGE)
            rows += page
            if len(page) < PAGE:
                break
        return rows[:top]

    def own(self) -> LeaderboardRow | None:
        """Return the user's row of the leaderboard; None for one who has not joined or scored."""
        try:
            mine = self._get("participations/my_participation")
        except ServiceError as error:
            if "join" in str(error).lower():
                return None
            raise
        with _understood(self._http):
            rank = mine["public_rank"]
            if rank is None:
                return None
            rows = self._page((int(rank) - 1) // PAGE)
            unlisted = LeaderboardRow("", rank, None, 0)
            return next((row for row in rows if row.rank == int(rank)), unlisted)

    def token(self) -> Token:
        """Return the token, which is looked for only once."""
        if self._token is None:
            if self._ask_token is None:
                raise ServiceError("this needs a token of Zindi")
            self._token = self._ask_token()
        return self._token

    def _page(self, number: int) -> list[LeaderboardRow]:
        with _understood(self._http):
            rows = self._get("participations", page=number, per_page=PAGE)
            return [_row(row) for row in rows]

    def _get(self, what: str, **params: Any) -> Any:
        return self._http.ask("GET", f"{self._path}/{what}", self.token(), params=params)


def sign_in(username: str, password: str, base_url: str = BASE_URL, timeout: float = 30.0) -> Token:
    """Return a token for a user and a password.

    Raises:
        ServiceError: they are wrong, or the service does not answer.
    """
    http = Http(base_url, timeout)
    try:
        with _understood(http):
            form = {"username": username, "password": password}
            return Token(str(http.ask("POST", "/auth/signin", data=form)["auth_token"]))
    finally:
        http.close()


@contextmanager
def _understood(http: Http) -> Iterator[None]:
    """Turn an answer of an unexpected form into an error of the service."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ServiceError(f"{http.base_url}: answers in an unknown form") from None


def _submission(row: Any) -> Submission:
    return Submission(
        str(row["id"]),
        str(row["status"]),
        _number(row.get("public_score")),
        str(row.get("status_description") or ""),
    )


def _row(row: Any) -> LeaderboardRow:
    team, user = row.get("team") or {}, row.get("user") or {}
    return LeaderboardRow(
        str(team.get("title") or user.get("username") or ""),
        None if row.get("public_rank") is None else int(row["public_rank"]),
        _number(row.get("best_public_score")),
        int(row.get("submission_count") or 0),
    )


def _number(value: Any) -> float | None:
    """Return a score, which the service sends as text."""
    return None if value in (None, "") else float(value)
