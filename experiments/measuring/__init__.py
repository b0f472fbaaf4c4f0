"""What the bench is made of: a stopwatch for training steps, probes of the device, a table."""
