"""What outlives the service: tables, their migrations, and the queries on them."""
