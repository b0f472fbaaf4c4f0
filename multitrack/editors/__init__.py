"""Made-up editors with styles of their own, for the embedded corpus."""
