"""What tests lean on: the wall, cassettes and their scenarios, a server that can misbehave."""
