"""Rates per app: adapters that serve `interfaces.RateLimiter`."""
