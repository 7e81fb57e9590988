"""What an input is: how it is read, prepared, described by features and scored."""
