"""What servers write down: events, requests, the feature values answers stood on."""
