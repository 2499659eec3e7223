"""Runs the source in the file argv[1], and writes of an exception that ends it each frame with its locals, as JSON,
behind the mark argv[2]. It is handed to a fresh interpreter as text, and imports nothing of ours."""

import inspect
import json
import linecache
import os
import reprlib
import sys
import types
from typing import Any

MOST_FRAMES, MOST_LOCALS, MOST_CHARACTERS, MOST_CAUSES = 50, 50, 300, 5


def main(path: str, mark: str) -> None:
    """As `python3 -I PATH`."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=path, __builtins__=__builtins__)
    sys.modules["__main__"], sys.argv = module, [path]
    try:
        with open(path, "rb") as file:
            exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102 (that is what it is for)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None  # without our own frame
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.stderr.flush()
        os.write(2, f"\n{mark}{json.dumps(described(error))}".encode())
        sys.exit(1)


def described(error: BaseException, depth: int = 0) -> dict[str, Any]:
    """The exception, with those that it came from."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    frames = inspect.getinnerframes(error.__traceback__, context=1) if error.__traceback__ else []
    if len(frames) > MOST_FRAMES:
        frames = frames[: MOST_FRAMES // 2] + frames[-MOST_FRAMES // 2 :]
    found: dict[str, Any] = {
        "type": type(error).__qualname__,
        "message": _text(lambda: str(error)),
        "frames": [_frame(each) for each in frames],
        "cause": described(cause, depth + 1) if cause is not None and depth < MOST_CAUSES else None,
    }
    if isinstance(error, SyntaxError):
        found |= {"file": error.filename, "line": error.lineno, "column": error.offset}
    elif frames:
        found |= {"file": frames[-1].filename, "line": frames[-1].lineno, "function": frames[-1].function}
    return found


def _frame(info: inspect.FrameInfo) -> dict[str, Any]:
    shown = [(name, value) for name, value in info.frame.f_locals.items() if not name.startswith("__")]
    return {
        "file": info.filename,
        "line": info.lineno,
        "function": info.function,
        "code": linecache.getline(info.filename, info.lineno).strip(),
        "locals": {name: _text(lambda value=value: _REPR.repr(value)) for name, value in shown[:MOST_LOCALS]},
        "more_locals": max(0, len(shown) - MOST_LOCALS),
    }


def _text(write: Any) -> str:
    """A value's own methods may do anything."""
    try:
        text = str(write())
    except BaseException as error:  # SystemExit, too: it is looked at, not run
        text = f"<{type(error).__name__} while it was shown>"
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = MOST_CHARACTERS
if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
