"""An example package for Annotator: an image format, an export, an action and an engine."""
