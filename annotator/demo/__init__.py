"""The main job, done by the program on itself: real events in the real window, every step verified."""
