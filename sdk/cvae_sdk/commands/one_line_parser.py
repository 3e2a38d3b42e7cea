"""A parser whose complaint is one line, as a command's mistake by its user should be."""

import argparse
from typing import TYPE_CHECKING, NoReturn

__all__ = ["HelpFormatter", "OneLineParser", "Verbs", "add_verb", "on_one_line"]

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction["OneLineParser"]  # pyright: ignore[reportPrivateUsage] - it has no public name
else:
    Verbs = object


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that exits 2 after one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with what was wrong."""
        self.exit(2, f"{self.prog}: {on_one_line(message)}\n")


def add_verb(verbs: Verbs, name: str, what: str, text: str, *examples: str) -> OneLineParser:
    """A verb's parser: `what` stands in the list of verbs, `text` and the examples in its own help."""
    return verbs.add_parser(
        name,
        help=what,
        description=text,
        epilog="\n".join(["example:" if len(examples) == 1 else "examples:", *(f"  {line}" for line in examples)]),
        formatter_class=HelpFormatter,
    )


def on_one_line(message: str) -> str:
    """A file's name may hold a line's end."""
    return " ".join(message.splitlines())


class HelpFormatter(argparse.HelpFormatter):
    """Wraps the description, and keeps the lines of the examples."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example"):
            return "\n".join(indent + line for line in text.splitlines())
        return super()._fill_text(text, width, indent)
