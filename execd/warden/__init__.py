"""The warden: the small process that parents zygotes, sandboxes and what runs in them; and the service's side of it."""
