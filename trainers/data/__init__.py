"""Images: where they come from, how they are split, and how a trial sees them batch by batch."""
