"""How good slates were: `hits` of what people wanted, what was `shown` whether wanted or not, and `intervals`."""
