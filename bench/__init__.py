"""What `make bench` runs: the figures that the product answers for, measured on this machine."""
