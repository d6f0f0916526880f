"""All that a program may print, log or store of an error."""

import os
import pickle
import traceback
from pathlib import Path

import securemail

_PACKAGE = str(Path(securemail.__file__).parent) + os.sep


def shown_of(error: BaseException, within: str = _PACKAGE) -> bytes:
    """All that a program may print, log or store of an error: its texts, its attributes, its
    pickle, and its traceback with the local variables of the library's own frames, or of those
    of other files `within` a folder."""
    parts = [repr(error), str(error), repr(error.args), repr(vars(error))]
    described = traceback.TracebackException.from_exception(error, capture_locals=True)
    seen: set[int] = set()
    queue = [described]
    while queue:
        one = queue.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        parts.append(str(one))
        frames = [frame for frame in one.stack if frame.filename.startswith(within)]
        parts += [f"{frame.name} {frame.line} {frame.locals}" for frame in frames]
        queue += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(parts).encode("utf-8", "backslashreplace") + pickle.dumps(error)
