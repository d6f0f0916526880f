"""What proves who we are: one file per mechanism, the choice, the exchange. No socket in here."""
