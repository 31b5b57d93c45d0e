"""A user's account on Zindi, and the client that acts for that user."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.arguments import argument, make_paths
from maskspot.errors import UsageError
from maskspot.extras import require_fetch
from maskspot.progress import Progress
from maskspot.zindi.competition import BASE_URL, COMPETITION

if TYPE_CHECKING:
    from maskspot.zindi.client import Zindi
    from maskspot.zindi.http import Token

Ask = Callable[[str | None], tuple[str, str] | None]
"""Asks a person for their password: given a user name, or None to ask for that too, it returns
user name and password, or None if nobody can be asked."""


@dataclass(frozen=True)
class ZindiAccount:
    """Which competition of Zindi to use, and as whom.

    The token is taken from `token_file`, else from the environment variable
    MASKSPOT_ZINDI_TOKEN, else from an earlier call with `keep_token`; with `user` it comes from
    signing in. It is looked for when it is first needed.
    """

    competition: str = argument(COMPETITION, help="Name of the competition in its web address.")
    url: str = argument(BASE_URL, help="Address of Zindi's API.", envvar="MASKSPOT_ZINDI_URL")
    token_file: Path | None = argument(
        None, help="File that holds your token.", show_default="MASKSPOT_ZINDI_TOKEN"
    )
    user: str | None = argument(None, help="Sign in as this user; asks for the password.")
    keep_token: bool = argument(False, help="Keep the token in your configuration folder.")

    def __post_init__(self) -> None:
        make_paths(self, "token_file")


def connect(account: ZindiAccount | None, ask: Ask | None, progress: Progress) -> "Zindi":
    """Return a client for an account, which connects to nothing yet.

    Args:
        account: the account; None for the default competition.
        ask: asks for a password where one is needed; None if nobody can be asked.
        progress: told where a token was kept.

    Raises:
        MissingExtraError: `maskspot[fetch]` is not installed.
        UsageError: the URL is invalid.
    """
    require_fetch("access to Zindi")
    from maskspot.zindi.client import Zindi

    account = account or ZindiAccount()
    return Zindi(account.competition, account.url, partial(_find_token, account, ask, progress))


def _find_token(account: ZindiAccount, ask: Ask | None, progress: Progress) -> "Token":
    from maskspot.zindi.client import sign_in
    from maskspot.zindi.credentials import VARIABLE, find_token, keep_token

    token = None if account.user else find_token(account.token_file)
    if token is None:
        login = ask(account.user) if ask else None
        if login is None:
            raise UsageError(
                f"this needs your token of Zindi: set {VARIABLE}, name a file that holds it with "
                "`token_file`, or sign in with `user`"
            )
        token = sign_in(*login, account.url)
    if account.keep_token:
        progress.say(f"token kept in {keep_token(token)}")
    return token
