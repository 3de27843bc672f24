"""Files compared with their truth: rasters of any size, and folders of them."""
