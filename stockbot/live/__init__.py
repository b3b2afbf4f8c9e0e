"""The live side: feeds, the runner, its kill switch, and the log of signals."""
