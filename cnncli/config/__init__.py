"""What a config file may say, how it is read, and how its mistakes are told."""
