"""The custom resource's Lambda function."""
