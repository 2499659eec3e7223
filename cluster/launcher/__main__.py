"""`python -m cluster.launcher DIR MILLICPUS`, and the same as a plain script, which needs no installed
package.

The agent starts it as a script under `python -I -S`: no site-packages, no user configuration, 15 ms sooner.
"""

import sys
from os.path import abspath, dirname

if not __package__:
    sys.path.insert(0, dirname(dirname(dirname(abspath(__file__)))))

from cluster.launcher.main import main

sys.exit(main(sys.argv[1:]))
