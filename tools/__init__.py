"""What `build.py` is made of: environments, the packed file, the checks, the generated code. No part of the product."""
