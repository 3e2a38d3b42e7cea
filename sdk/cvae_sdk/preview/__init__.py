"""A preview of an artifact over HTTP, for one machine: the page and the addresses of `cvae serve`."""
