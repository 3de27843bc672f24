"""Tiles made by the processes of a dask.distributed cluster, and gathered by one."""
