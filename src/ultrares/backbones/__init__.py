"""Plug-in super-resolvers behind one contract."""
