"""HTML reports: one file that contains everything and loads nothing from the network."""
