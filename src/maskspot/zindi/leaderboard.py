"""The leaderboard of a competition."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskspot.progress import SILENT, Progress
from maskspot.zindi.account import Ask, ZindiAccount, connect

if TYPE_CHECKING:
    from maskspot.zindi.client import LeaderboardRow


@dataclass(frozen=True)
class Leaderboard:
    """The leaderboard.

    Attributes:
        top: the first rows.
        own: the user's own row; None for a user who has not joined or has no score.
    """

    top: "list[LeaderboardRow]"
    own: "LeaderboardRow | None"


def leaderboard(
    top: int = 10,
    account: ZindiAccount | None = None,
    ask: Ask | None = None,
    progress: Progress = SILENT,
) -> Leaderboard:
    """Return the first rows of a competition's leaderboard, and the user's own row.

    Args:
        top: number of rows.
        account: the competition of Zindi, and who takes part in it.
        ask: asks a person for the password of `account`, where that is needed.
        progress: told what is done.

    Raises:
        UsageError: there is no token.
        ServiceError: Zindi does not answer, or refuses.
    """
    with connect(account, ask, progress) as zindi:
        return Leaderboard(zindi.leaderboard(top), zindi.own())
