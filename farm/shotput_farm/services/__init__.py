"""The services beside deadline that its clients cannot do without: STS and CloudWatch Logs, as far as they are used."""
