"""The command line: each command is one file here, and everything it does is a call of a public function."""
