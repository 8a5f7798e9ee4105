// The address of the page holds its state after the #, so that a finding is a link.
