"""The mathematics of dense pose: arrays in, arrays out."""
