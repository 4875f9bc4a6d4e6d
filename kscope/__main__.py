"""``python -m kscope``."""

import sys

from kscope.cli import main

sys.exit(main())
