"""Times as people say them."""


def in_words(nanoseconds: int | None) -> str:
    """``9 m 41 s``, ``2 d 3 h``, ``7.1 s``, ``31 ms``: the two largest units."""
    if nanoseconds is None:
        return "?"
    seconds = nanoseconds / 1_000_000_000
    if seconds < 1:
        return f"{nanoseconds // 1_000_000} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole // 60 % 60} m"
    return f"{whole // 86400} d {whole // 3600 % 24} h"
