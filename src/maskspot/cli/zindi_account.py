"""Signing in to Zindi on the command line."""

import os
import sys

import typer


def ask_password(user: str | None) -> tuple[str, str] | None:
    """Ask for the password of a user of Zindi, and for the user's name if it is None.

    A program may give the password on standard input.

    Returns:
        The name and the password; None if there is no terminal to ask for the name.
    """
    at_terminal = sys.stdin.isatty()
    if not (user or at_terminal):
        return None
    name: str = user or typer.prompt("Zindi user name", err=True)
    if at_terminal:
        return name, typer.prompt(f"password of {name}", hide_input=True, err=True)
    return name, sys.stdin.readline().rstrip(os.linesep)
