"""The data layer: archives to validated rows, bars, features, windows. Files and frames in, files and datasets out."""
