# The compiled binding; _core.py is its only user and confines what is not typed.
from typing import Any

ffi: Any
lib: Any
