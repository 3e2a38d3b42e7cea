"""cvae serve: a preview in the browser."""

import argparse

from cvae_sdk.commands.one_line_parser import Verbs, add_verb
from cvae_sdk.commands.sampler_arguments import add_artifact, open_sampler

__all__ = ["add_serve"]


def add_serve(verbs: Verbs) -> None:
    """The verb of this file."""
    serve = add_verb(
        verbs,
        "serve",
        "a page to play with, and images over HTTP",
        "A preview: a page to play with an artifact, and its images over HTTP (GET /v1/info lists the addresses). For "
        "production serve the artifact itself: TF Serving takes its saved_model, Triton its serving/triton.",
        "cvae serve --artifact fashion-mnist --port 8000",
    )
    add_artifact(serve)
    serve.add_argument("--port", type=int, default=8080, metavar="N", help="0 takes a free one [8080]")
    serve.add_argument("--host", default="127.0.0.1", metavar="H", help="the address to listen at [127.0.0.1]")
    serve.add_argument(
        "--unsafe-bind-anywhere",
        action="store_true",
        help="let --host be one that other machines reach; there is no password and no encryption",
    )
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> None:
    from cvae_sdk.preview.endpoints import Subject  # of no use to the other verbs
    from cvae_sdk.preview.server import bind, serve_until_interrupted

    listener = bind(options.host, options.port, anywhere=options.unsafe_bind_anywhere)
    with listener, open_sampler(options) as sampler:
        serve_until_interrupted(listener, Subject(sampler, options.artifact), options.host)
