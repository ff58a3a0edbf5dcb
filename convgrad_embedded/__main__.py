import sys

from convgrad_embedded.cli import main

sys.exit(main())
