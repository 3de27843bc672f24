"""Rasters of any size: read, upscale cell by cell, write, and check, every pixel in its place on Earth."""
