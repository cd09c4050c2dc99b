"""An interaction function of CVAT's agents that asks ``annotator serve``: no Nuclio, no port that CVAT has to reach.

    pip install cvat-cli
    cvat-cli function create-native "annotator" --function-file agent.py
    cvat-cli function run-agent ID --function-file agent.py     (prints nothing while it waits for clicks)

The server is ``ANNOTATOR_SERVER`` (http://127.0.0.1:8765), its token ``ANNOTATOR_SERVER_TOKEN``.
"""

import io
import json
import os
import urllib.error
import urllib.request

import cvat_sdk.auto_annotation as cvataa
import numpy as np
from cvat_sdk import models
from cvat_sdk.masks import encode_mask
from PIL import Image

_GONE = (404, 410)
"""The server has no such image any more."""


class Annotator:
    """Keeps the frame's file: the server may forget it, and is then sent it again."""

    spec = cvataa.InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def __init__(self, address: str, token: str) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def preprocess_image(self, _context, image):
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "PNG")
        data = stream.getvalue()
        return {"data": data, "embedding": self._opened(data)}

    def detect(self, _context, pp_image, prompts):
        asked = {
            "points": [{"x": x, "y": y, "label": 1} for x, y in prompts.pos_points]
            + [{"x": x, "y": y, "label": 0} for x, y in prompts.neg_points],
            "stepwise": True,
            "format": "base64_png",
        }
        if prompts.bounding_box is not None:
            (x0, y0), (x1, y1) = prompts.bounding_box
            asked["box"] = [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]
        if not prompts.pos_points and prompts.bounding_box is None:
            return []
        try:
            found = self._predicted(pp_image["embedding"], asked)
        except urllib.error.HTTPError as error:
            if error.code not in _GONE:
                raise
            found = self._predicted(self._opened(pp_image["data"]), asked)
        best = found["candidates"][found["best"]]
        with Image.open(io.BytesIO(_bytes_of(best["png"]))) as picture:
            mask = np.asarray(picture) > 0
        if not mask.any():
            return []
        confidence = min(max(float(best["predicted_iou"]), 0.0), 1.0)
        about = models.AttributeValRequest(cvataa.InteractionResultAttributes.CONFIDENCE, str(round(confidence, 3)))
        return [cvataa.InteractionResultShape(type="mask", points=encode_mask(mask), attributes=[about])]

    def _opened(self, data):
        return self._sent("PUT", "/v1/images", data, "application/octet-stream")["embedding"]

    def _predicted(self, embedding, asked):
        body = json.dumps({"embedding": embedding, **asked}).encode()
        return self._sent("POST", "/v1/predict", body, "application/json")

    def _sent(self, method, path, body, kind):
        headers = {**self._headers, "Content-Type": kind}
        request = urllib.request.Request(self._address + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def _bytes_of(text):
    import base64

    return base64.b64decode(text.rpartition(",")[2])


def create():
    """What CVAT's agent asks for."""
    return Annotator(
        os.environ.get("ANNOTATOR_SERVER", "http://127.0.0.1:8765"), os.environ.get("ANNOTATOR_SERVER_TOKEN", "")
    )
