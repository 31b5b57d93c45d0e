"""Is a data set sound: files, duplicates, what files give away, and labels that seem wrong."""
