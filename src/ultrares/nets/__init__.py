"""Trainable modules, one architecture a file, tensors in and out."""
