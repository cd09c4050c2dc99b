"""A server in several processes: a front that speaks HTTP, and replicas that have models and images."""
