"""Other people's super-resolvers, each behind one call: an image and a scale in, a finer image out."""
