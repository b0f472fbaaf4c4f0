"""What a model predicts, turned into an edit again."""
