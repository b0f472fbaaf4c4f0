"""One map for many peptides: its weights hang on the kind of residue, not on the molecule."""
