"""From a training run to a model file. Needs maskspot[train]."""
