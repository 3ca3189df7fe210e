"""Files that customers send: checked, written anew, kept privately, and gone with the rows that own them."""
