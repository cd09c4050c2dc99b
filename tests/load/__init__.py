"""Load, faults and damaged requests against a real ``annotator serve`` on a loopback port: ``python -m tests.load``."""
