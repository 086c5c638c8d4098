"""Networks, the pretext task and the main task: the only package that imports PyTorch.

Long computations are generators that yield often and return their result, so that one process
can do other small work in between. The seed determines every result.

Names are listed in `__init__.pyi`, and imported when they are first used: all of them take several seconds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
