"""From synchronised recordings to a first cut: who speaks, which camera shows it, the edit."""
