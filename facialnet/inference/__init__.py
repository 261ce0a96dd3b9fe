"""What a trained checkpoint is good for: answers, explanations, exported files."""
