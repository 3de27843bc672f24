"""The papers, assembled from parts: read these first."""
