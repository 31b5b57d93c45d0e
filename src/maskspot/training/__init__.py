"""Training a network: settings, pixels, augmentation, the loop. Needs maskspot[train]."""
