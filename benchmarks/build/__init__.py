"""Whole builds, from archive to feature files, against the programs that one would write with other libraries."""
