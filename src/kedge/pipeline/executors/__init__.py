"""Where steps run, one file each."""
