"""Makes a trained model smaller or faster to serve: export and quantisation."""
