"""The wire: requests in, replies out, all of it driven by botocore's service models. It knows no farm and no SQL."""
