"""`tapeline unsubscribe`: less of what a venue offers, while it runs."""

from __future__ import annotations

import argparse

from tapeline.cli import _subscribing

HELP = "drop channels from those of a venue that are subscribed, without touching the others"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    _subscribing.configure(parser, "unsubscribe")


def run(args: argparse.Namespace) -> int:
    """Says how many are gone; the exit code."""
    return _subscribing.change(args, wanted=False)
