"""Who is believed: one file per store."""
