"""What came in? Readers, the validation suites, quarantine."""
