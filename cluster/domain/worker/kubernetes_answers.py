"""What an error of Kubernetes' API means for whoever has asked it to make something, as tables."""

OLDEST = (1, 27)  # from then on a Pod that is deleted says how its command has ended before it goes

# Words of a refusal that may be withdrawn without anybody changing what was asked for.
_LATER = ("exceeded quota", "being terminated", "cannot create resource", "status unknown for quota")
_NEVER = ("request is too large",)  # told with a code that means a fault of the server


def may_be_taken_later(code: int, text: str) -> bool:
    """Whether what was refused so (a code of HTTP, and a text) may be taken later as it is."""
    if any(words in text for words in _NEVER):
        return False
    if code == 403:
        return any(words in text for words in _LATER)
    return code in (401, 404, 408, 409, 429) or code >= 500


def version_of(major: str, minor: str) -> tuple[int, int]:
    """As `/version` tells it: "1" and "33", or "27+" of those who sell it. ValueError for others."""
    return int(major), int(minor.rstrip("+"))
