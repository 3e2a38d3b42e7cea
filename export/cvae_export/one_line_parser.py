"""A parser whose complaint is one line, as a command's mistake by its user should be."""

import argparse
from typing import NoReturn

__all__ = ["OneLineParser"]


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that exits 2 after one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with what was wrong."""
        self.exit(2, f"{self.prog}: {message}\n")
