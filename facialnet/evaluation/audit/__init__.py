"""What is wrong with labels and which pictures are copies: the parts of `facialnet.audit`."""
