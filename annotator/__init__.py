"""Annotator: click an object, get its mask, export COCO that trains. Importing the package imports nothing heavy."""

__version__ = "0.1.0"
