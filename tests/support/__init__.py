"""What tests build on: network guard, cassettes and their scenarios, scripted server."""
