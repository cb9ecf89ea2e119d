"""The warden: a small process that parents everything in sandboxes, and the service's side of it."""
