"""Readers of market data files: every format becomes a `RawTable`, every table canonical rows."""
