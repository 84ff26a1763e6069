"""The same subjects as machine code, over the buffers of whole batches of text. Needs numba: `kedge[clean]`."""
