"""What we do about the stacks we run on."""
