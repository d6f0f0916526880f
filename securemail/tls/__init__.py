"""How the policy is enforced: the context and its gated socket classes, verify, explain."""
