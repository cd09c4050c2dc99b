"""``GET /docs``: all paths for people, with requests that the page sends; it fetches nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from annotator.files.resources import resource_path
from annotator.server import examples

Document = Mapping[str, Any]
_JSON = "application/json"
_MOST_DEEP = 3
_ROWS = 12
_FIRST = "/v1/images"
_INTRODUCTION = """
<p>All that this server answers. Every request can be sent as it is. Open the example image first
(<code>PUT</code> or <code>POST /v1/images</code>): the others ask about it.
For programs: <a href="openapi.json">openapi.json</a>.</p>
<label><span>Token</span><input id="token" type="password" autocomplete="off"
  placeholder="where the server wants one"></label>
"""


def page_of(document: Document) -> tuple[str, str]:
    """The page for an OpenAPI document, and its Content-Security-Policy: its own script and style, and this server."""
    style, script = (resource_path(f"server/page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    title = f"{document['info']['title']} {document['info']['version']}"
    sections = "".join(
        _section(method.upper(), path, operation, document)
        for path, methods in sorted(document["paths"].items(), key=lambda one: one[0] != _FIRST)
        for method, operation in methods.items()
    )
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body><h1>{escape(title)}</h1>"
        f"{_INTRODUCTION}{sections}<script>{script}</script></body></html>\n"
    )
    return page, _policy(style, script)


def _policy(style: str, script: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; connect-src 'self'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _section(method: str, path: str, operation: Document, document: Document) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    schema = _resolved(content[_JSON]["schema"], document) if _JSON in content else {}
    bodies = [_text(example) for example in schema.get("examples", ())] or [_file() if content and not schema else ""]
    parameters = operation.get("parameters", ())
    forms = "".join(_form(method, path, parameters, body) for body in bodies)
    fields = [*_parameter_rows(parameters), *_fields(schema, document)]
    words = escape(operation.get("description", ""))
    return (
        f"<section><h2><b>{method}</b> <code>{escape(path)}</code></h2><p>{words}</p>{forms}{_table(fields)}</section>"
    )


def _form(method: str, path: str, parameters: Sequence[Document], body: str) -> str:
    inputs = "".join(
        f"<label><span>{escape(one['name'])}</span>"
        f'<input name="{escape(one["name"])}" data-in="{one["in"]}" value="{escape(_first_value(one))}"></label>'
        for one in parameters
    )
    return (
        f'<form data-method="{method}" data-path="{escape(path.removeprefix("/"))}">{inputs}{body}'
        "<button>Send</button><output></output></form>"
    )


def _text(example: Any) -> str:
    text = json.dumps(example, indent=2)
    rows = min(_ROWS, text.count("\n") + 1)
    return f'<textarea name="body" rows="{rows}" spellcheck="false" aria-label="body">{escape(text)}</textarea>'


def _file() -> str:
    return (
        f'<label><span>file</span><input type="file" name="file" data-example="{examples.IMAGE_BASE64}"></label>'
        "Without one, the example image is sent."
    )


def _first_value(parameter: Document) -> str:
    schema = parameter["schema"]
    return str([*schema.get("examples", ()), schema.get("default", "")][0])


# --- what a body may hold ---------------------------------------------------------------------------------------------


def _parameter_rows(parameters: Sequence[Document]) -> Iterator[tuple[str, str, str]]:
    for one in parameters:
        words = one.get("description", one["schema"].get("description", ""))
        yield one["name"], f"{_kind(one['schema'])} in the {one['in']}", words


def _fields(schema: Document, document: Document, before: str = "", depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Name, type and words of each field, those of inner objects behind a dot."""
    needed = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        kind = _kind(inner)
        yield before + name, f"{kind}, needed" if name in needed else kind, inner.get("description", "")
        for choice in (inner, *inner.get("anyOf", ())):
            is_list = choice.get("type") == "array"
            found = _resolved(choice.get("items", {}) if is_list else choice, document)
            if found is not choice and depth < _MOST_DEEP:
                yield from _fields(found, document, f"{before}{name}{'[]' if is_list else ''}.", depth + 1)


def _kind(schema: Document) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(one) for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "object"))


def _resolved(schema: Document, document: Document) -> Document:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(words)}</td></tr>"
        for name, kind, words in rows
    )
    return f"<details><summary>Fields</summary><table>{cells}</table></details>"
