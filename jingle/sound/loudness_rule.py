"""The rule of a blend's loudness, in numbers: what the sound is made by and networks know of it."""

QUIET = -60.0  # LUFS; below it a part counts as silent and is not amplified
LOWER_DB = 3.0  # either part, below the mean loudness of the songs
MOST_DB = 12.0  # by which a part is raised or lowered
# LUFS of a song, of both parts that HPSS finds in it, and of its own (true stems, if known).
NAMES = ("song", "percussive", "harmonic", "own_percussive", "own_harmonic")
SONG, PERCUSSIVE, HARMONIC, OWN_PERCUSSIVE, OWN_HARMONIC = range(len(NAMES))
