"""Parts of `make bench`: a file for each thing measured, and one for each peer."""
