"""HTML reports: one file with everything in it, that asks nothing of the network."""
