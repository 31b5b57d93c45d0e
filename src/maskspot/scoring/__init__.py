"""Images through a model: threads, processes, the cache, and a whole run as an object."""
