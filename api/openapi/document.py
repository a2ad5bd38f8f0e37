"""``GET /v1/openapi.json``: everything under /v1 as an OpenAPI 3.1 document, made of the types that parsers read."""

from functools import cache
from typing import Any, Final

import msgspec
from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.openapi.operations import OPERATIONS, Operation

_REFERENCE: Final = "#/components/schemas/{name}"
_KEY: Final = {"type": "http", "scheme": "bearer", "description": "A key of the console's, also as x-api-key."}
_IGNORED: Final = (
    "Unknown parameters are refused by their name. What clients merely carry along, such as keys of other providers "
    "inside of messages and tools, is left out and named in the response's `parley-ignored` header."
)


@cache
def document() -> dict[str, Any]:
    """Return the document, but for the site's own address."""
    types = [each for operation in OPERATIONS for each in _types(operation)]
    _, components = msgspec.json.schema_components(dict.fromkeys(types), ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _written(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Parley", "version": "1", "description": _IGNORED},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": _KEY},
            "schemas": {name: _open(schema) for name, schema in components.items()},
        },
    }


class OpenApi(APIView):
    """``GET /v1/openapi.json``: for everybody, as it tells nothing of anybody."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        """Show the document with the address that it is for."""
        return Response(document() | {"servers": [{"url": settings.PUBLIC_URL}]})


def _types(operation: Operation) -> list[Any]:
    """Return every type that an operation speaks of."""
    answers = [each for shapes in operation.answers.values() for each in shapes]
    return [each for each in (operation.body, operation.event, operation.error, *answers) if each not in (None, dict)]


def _written(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": _summary(shapes), "content": {"application/json": {"schema": _any_of(shapes)}}}
        for status, shapes in operation.answers.items()
    }
    if operation.also:
        other = _any_of((operation.event,)) if operation.event else {"type": "string"}
        responses["200"]["content"][operation.also] = {"schema": other}
    failed = {"application/json": {"schema": _any_of((operation.error,))}}
    responses["default"] = {"description": _summary((operation.error,)), "content": failed}
    written: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            {
                "name": parameter.name,
                "in": parameter.place,
                "description": parameter.description,
                "required": parameter.is_required,
                "schema": parameter.schema,
            }
            for parameter in operation.parameters
        ],
        "responses": responses,
    }
    if operation.body:
        written["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _any_of((operation.body,))}},
        }
    return written | ({"security": []} if operation.is_open else {})


def _summary(shapes: tuple[type, ...]) -> str:
    return " Or: ".join((shape.__doc__ or "").partition("\n")[0] for shape in shapes if shape is not dict) or "JSON."


def _any_of(shapes: tuple[type, ...]) -> dict[str, Any]:
    written = [
        {"type": "object"} if shape is dict else {"$ref": _REFERENCE.format(name=shape.__name__)} for shape in shapes
    ]
    return written[0] if len(written) == 1 else {"anyOf": written}


def _open(schema: Any) -> Any:
    """Return a schema in the words of JSON Schema: there, a pattern ends with a dollar."""
    if isinstance(schema, dict):
        return {
            name: value.replace(r"\Z", "$") if name == "pattern" and isinstance(value, str) else _open(value)
            for name, value in schema.items()
        }
    return [_open(each) for each in schema] if isinstance(schema, list) else schema
