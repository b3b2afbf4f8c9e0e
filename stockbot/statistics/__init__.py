"""How good a score is and how sure one can be of it; each definition with its source. Arrays in, numbers out."""
