"""What the HTTP server alone costs: one fixed answer behind several servers. `python -m bench.server.floors`."""
