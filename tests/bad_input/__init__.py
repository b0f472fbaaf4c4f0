"""What no command may choke on: a corpus of bad input, as data, and the contract it is held to."""
