"""Images over HTTP, by FastAPI: one Sampler for all requests, each drawn in a thread while others are answered.

    pip install cvae-sdk fastapi uvicorn
    uvicorn fastapi_service:app --workers 2              in this folder
    curl -o seven.png 'localhost:8000/images/7.png?seed=1'

GET  /healthz                                            200 once the model is open
GET  /images/{label}.png?seed=&first=&temperature=       one image, always the same for the same address
POST /images {"labels": [3, "8"], "seed": 1}             {"images": [a PNG in base64, ...]}, at most 256

An argument that cannot be is 422 and a sentence. $CVAE_ARTIFACT is a folder, a shipped artifact's name, or the address
of a model server.
"""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from cvae_sdk import CvaeError, InputError, Sampler

Seed = Annotated[int, Field(ge=0, lt=2**64)]


class Wanted(BaseModel):
    """The body of POST /images."""

    labels: Annotated[list[int | str], Field(min_length=1, max_length=256)]
    seed: Seed = 0
    first: Annotated[int, Field(ge=0, lt=2**63)] = 0
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The Sampler is opened before the first request and closed after the last."""
    with Sampler(os.environ.get("CVAE_ARTIFACT")) as sampler:
        app.state.sampler = sampler
        yield


app = FastAPI(title="cvae", lifespan=lifespan)


@app.exception_handler(CvaeError)
async def answer_error(request: Request, error: CvaeError) -> JSONResponse:
    """A sentence; 422 for what the caller can change, 503 for the rest."""
    return JSONResponse({"detail": str(error)}, 422 if isinstance(error, InputError) else 503)


@app.get("/healthz")
async def healthz(request: Request) -> dict[str, str]:
    """Which model is served."""
    manifest = request.app.state.sampler.manifest
    return {"model": manifest.name, "digest": manifest.digest}


@app.get("/images/{label}.png")
async def image(request: Request, label: str, seed: Seed = 0, first: int = 0, temperature: float = 1.0) -> Response:
    """One image: caches may keep it, since the same address is the same image for as long as the model is."""
    sampler: Sampler = request.app.state.sampler
    (png,) = await sampler.asample(
        to_label(label, sampler), 1, seed=seed, first=first, temperature=temperature, output="png"
    )
    return Response(png, media_type="image/png", headers={"Cache-Control": "public, max-age=3600"})


@app.post("/images")
async def images(request: Request, wanted: Wanted) -> dict[str, list[str]]:
    """Image i has the index first + i and the label labels[i]."""
    sampler: Sampler = request.app.state.sampler
    pngs = await sampler.asample(
        [to_label(label, sampler) for label in wanted.labels],
        seed=wanted.seed, first=wanted.first, temperature=wanted.temperature, output="png",
    )  # fmt: skip
    return {"images": [base64.b64encode(png).decode() for png in pngs]}


def to_label(label: int | str, sampler: Sampler) -> int | str:
    """A class's name, or its number, which an address has as text."""
    if isinstance(label, int) or label in sampler.classes:
        return label
    return int(label) if label.isdecimal() and len(label) < 10 else label
