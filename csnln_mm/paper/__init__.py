"""The paper's tables and measurements."""
