"""What a run costs: its price, the hold that covers it, how it grows, what was delivered, and the settled charge."""
