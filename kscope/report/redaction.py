"""Replaces what names a customer's machines and programs, the same thing by the same word.

Host names, addresses of the network, command names of user tasks, and arguments. Kernel threads,
functions, modules and kernel addresses are no secret and stay.
"""

import ipaddress
import re
from collections.abc import Iterable

_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_COLONS = re.compile(r"(?<![\w.])[0-9A-Fa-f:]{1,38}[0-9A-Fa-f:](?:%\w+)?(?!\w)")
_MAC = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?!\w|:\w)")
_ARGUMENTS = re.compile(r"^(\s*(?:ARG|ENV):\s*)(\S.*)$", re.MULTILINE)
_ENVIRONMENT_GOES_ON = re.compile(r"^(     \s*)([A-Za-z_]\w*=.*)$", re.MULTILINE)


class Redactor:
    """Remembers what it has replaced by what."""

    def __init__(self, *, hosts: Iterable[str] = (), commands: Iterable[str] = ()) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        full = [host for host in hosts if host]
        short = [host.partition(".")[0] for host in full]
        self._hosts = _any_of(dict.fromkeys((*full, *short)))
        self._commands = _any_of(dict.fromkeys(command for command in commands if command))

    def redact(self, text: str) -> str:
        """The text with everything replaced."""
        text = _ARGUMENTS.sub(lambda m: m[1] + self._word("arguments", m[2]), text)
        text = _ENVIRONMENT_GOES_ON.sub(lambda m: m[1] + self._word("arguments", m[2]), text)
        text = _MAC.sub(lambda m: self._word("mac", m[0].lower()), text)
        text = _IPV4.sub(self._address, text)
        text = _COLONS.sub(self._address, text)
        if self._hosts is not None:
            text = self._hosts.sub(lambda m: self._word("host", m[0].partition(".")[0]), text)
        if self._commands is not None:
            text = self._commands.sub(lambda m: self._word("command", m[0]), text)
        return text

    def _address(self, match: re.Match[str]) -> str:
        text = match[0].partition("%")[0]
        if text.endswith(":") and not text.endswith("::"):
            # What an address is followed by in "fe80::1: no route to host".
            return self._replaced(text.removesuffix(":"), match[0][:-1]) + ":"
        return self._replaced(text, match[0])

    def _replaced(self, text: str, whole: str) -> str:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return whole
        # Times of day and the like have colons too, but are no addresses; "::" alone says nothing.
        if address.is_unspecified or address.is_loopback:
            return whole
        return self._word("address", str(address))

    def _word(self, kind: str, secret: str) -> str:
        word = self._known.get((kind, secret))
        if word is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            word = self._known[kind, secret] = f"{kind}-{self._counts[kind]}"
        return word


def _any_of(words: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(words, key=len, reverse=True)
    if not longest_first:
        return None
    alternatives = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])")
