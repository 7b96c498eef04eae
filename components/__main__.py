"""Entry point of the plugin: serves the components to programs in any language that the engine knows."""

import os
import sys
from types import ModuleType

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    # Python looks in the plugin's own folder first, where an area of components has the name of a standard module.
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != here]
    # Wherever the engine has put the folder, and whatever it is called there, it is the package `components`.
    package = ModuleType("components")
    package.__path__ = [here]
    sys.modules["components"] = package

    from components.package import serve

    serve(sys.argv[1:])
