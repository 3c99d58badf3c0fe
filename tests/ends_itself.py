"""A script that ends itself when it is imported, as scripts do."""

import sys

sys.exit(0)
