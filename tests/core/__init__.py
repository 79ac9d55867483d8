"""The core: requests, answers, flows, retries, connections, secrets, cassettes."""
