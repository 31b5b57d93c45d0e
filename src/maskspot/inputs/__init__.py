"""What a user may point at: images, folders, archives, URLs, and lists of these."""
