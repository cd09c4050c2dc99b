"""A base that is encoded and trained in moments, with random weights, and the settings of a short run on it."""

from __future__ import annotations

from annotator.domain.ports.engine import ModelInfo
from annotator.engine.sam2.nano import NanoConfig
from annotator.train.prompted import AdapterSettings

SMALL = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 24, 32, 48), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)
BASE = ModelInfo("small", "a" * 64, "cpu", "float32", 128)
SETTINGS = AdapterSettings(epochs=2, batch=2, patience=50)
