"""The bridge for old Go binaries. This directory is what such a function sees at `/var/runtime`."""
