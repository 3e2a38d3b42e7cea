"""An argument parser that says a mistake in one line, where argparse prints the usage first."""

import argparse
from typing import NoReturn

__all__ = ["OneLineParser"]


class OneLineParser(argparse.ArgumentParser):
    """Exits 2 after one line for a mistake on the command line."""

    def error(self, message: str) -> NoReturn:
        """End the process; argparse calls it."""
        self.exit(2, f"{self.prog}: {' '.join(message.splitlines())}\n")
