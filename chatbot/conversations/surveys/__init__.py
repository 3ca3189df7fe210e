"""What customers make of a conversation once it has ended."""
