"""Training measured: `python -m benchmarks.train`."""
