"""The application: commands, training, sealed models, the live runner."""
