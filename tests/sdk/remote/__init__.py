"""Servers that do as a test says, over a socket and over gRPC, and what the SDK makes of their answers."""
