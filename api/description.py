"""The OpenAPI document: FastAPI's own, with keys and problems as they really are."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.auth import OPEN_PATHS
from api.errors import MEDIA_TYPE
from api.schemas.problems import ProblemAnswer

REFERENCE = "#/components/schemas/{model}"
PROBLEM = {
    "description": "a problem: the request was refused, or could not be served",
    "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="ProblemAnswer")}}},
}
FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    """Serve the document from now on; it is made once."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = ProblemAnswer.model_json_schema(ref_template=REFERENCE, mode="serialization")
    schemas |= problem.pop("$defs", {}) | {"ProblemAnswer": problem}
    for name in FRAMEWORKS_OWN:
        schemas.pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk_…"}}
    document["security"] = [{"key": []}]
    for path, verbs in document["paths"].items():
        for operation in verbs.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = PROBLEM
            if path in OPEN_PATHS:
                operation["security"] = []
    return document
