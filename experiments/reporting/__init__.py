"""What the report is made of: a small document model, targets, published figures, plots."""
