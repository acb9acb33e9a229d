"""Building the application: doors from the outside in, then the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import engine
from api import description, errors
from api.auth import Authenticate, Keys
from api.body_limits import BodyLimits, LimitBodies
from api.event_stream import EventStreams
from api.health import Health
from api.quota import LimitRequests
from api.request_context import RequestContext
from api.routes import catalogue, checkpoints, datasets, events, health, jobs, metrics, model_uploads, models, weights
from api.service import Service
from store.session import Database
from store.settings import Settings

FORM_BYTES = 1024 * 1024


def create_app(settings: Settings) -> FastAPI:
    """The application on the database and the broker that `settings` name. Opens no connection yet."""
    database = Database(settings)
    service = Service(settings, database, EventStreams(database), Health(database, settings.broker_url))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="Stoker",
        summary="Training as a service",
        version=engine.ENGINE_VERSION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        strict_content_type=False,  # `_require_json` in route.py judges the type; none at all counts as JSON
    )
    app.state.service = service
    app.include_router(health.router)
    for module in (catalogue, datasets, model_uploads, models, jobs, events, metrics, checkpoints, weights):
        app.include_router(module.router, prefix="/v1")
    errors.install(app)
    description.install(app)
    # The last one added is the first to see a request.
    app.add_middleware(LimitBodies, limits=_body_limits(settings))
    app.add_middleware(LimitRequests, requests_per_minute=settings.project_requests_per_minute)
    app.add_middleware(Authenticate, keys=Keys(database))
    app.add_middleware(RequestContext)
    return app


def _body_limits(settings: Settings) -> BodyLimits:
    return BodyLimits(
        json_bytes=settings.body_bytes,
        upload_bytes=settings.upload_bytes + FORM_BYTES,
        model_bytes=settings.model_bytes + settings.body_bytes + FORM_BYTES,
        idle_seconds=20.0,
        grace_seconds=20.0,
        minimum_bytes_per_second=4096,
    )
