"""What stands between the bytes of a file and Pillow's decoders: see `maskspot.images`."""
