"""PromptRails: agents, their executions, and the approvals that these wait for."""
