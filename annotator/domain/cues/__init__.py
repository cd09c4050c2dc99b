"""Kinds of prompts beside clicks, box and strokes, a file each."""
