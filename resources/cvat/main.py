"""A serverless function of CVAT that hands clicks on to ``annotator serve --compat cvat``; it needs no package."""

import json
import os
import urllib.request

ADDRESS = os.environ.get("ANNOTATOR_SERVER", "http://host.docker.internal:8765").rstrip("/")
TOKEN = os.environ.get("ANNOTATOR_SERVER_TOKEN", "")
_FIELDS = ("image", "pos_points", "neg_points", "obj_bbox")


def init_context(context):
    context.logger.info(f"clicks go to {ADDRESS}")


def handler(context, event):
    body = event.body if isinstance(event.body, dict) else json.loads(event.body)
    headers = {"Content-Type": "application/json"}
    if TOKEN:
        headers["Authorization"] = f"Bearer {TOKEN}"
    wanted = {name: body[name] for name in _FIELDS if body.get(name) is not None}
    request = urllib.request.Request(f"{ADDRESS}/cvat", json.dumps(wanted).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    return context.Response(body=text, headers={}, content_type="application/json", status_code=200)
