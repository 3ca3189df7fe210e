"""From reviewed data to a candidate release."""
