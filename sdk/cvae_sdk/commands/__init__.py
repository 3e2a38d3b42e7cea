"""The verbs of the command cvae: a file for each group of them, which adds their parsers and runs them."""
