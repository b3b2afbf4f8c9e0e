"""The application: commands, training, sealed models, the live runner. The only layer that prints or reads the clock."""
