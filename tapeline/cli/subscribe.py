"""`tapeline subscribe`: more of what a venue offers, while it runs."""

from __future__ import annotations

import argparse

from tapeline.cli import _subscribing

HELP = "add channels to those of a venue that are subscribed, without touching the others"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    _subscribing.configure(parser, "subscribe")


def run(args: argparse.Namespace) -> int:
    """Says how many are new; the exit code."""
    return _subscribing.change(args, wanted=True)
