"""``kscope config``: where the configuration is, and crash's own aliases taken over."""

import argparse
import sys
from pathlib import Path

from kscope.config import ConfigError, config_file, doubts, import_crashrc, load, rc_file

_DESCRIPTION = """\
Without an action: the file's path and what is in use from it. import-crashrc takes over the
aliases and set lines of a .crashrc and names each line that it has no use for.
"""


def run(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="kscope config", description=_DESCRIPTION)
    parser.add_argument("action", nargs="?", choices=("path", "import-crashrc"))
    parser.add_argument("file", nargs="?", default="", help="instead of ~/.crashrc")
    options = parser.parse_args(arguments)
    if options.file and options.action != "import-crashrc":
        parser.error(f"path takes no file: {options.file}")
    try:
        if options.action == "path":
            print(config_file())
        elif options.action == "import-crashrc":
            _, report = import_crashrc(Path(options.file or Path("~/.crashrc").expanduser()))
            print("\n".join(report) or "there is nothing in it")
        else:
            _show()
    except ConfigError as error:
        print(f"kscope: {error}", file=sys.stderr)
        return 1
    return 0


def _show() -> None:
    config = load()
    for path in (config_file(), rc_file()):
        print(f"{path}{'' if path.exists() else '  (does not exist)'}")
    print(f"theme  {config.theme}\nmouse  {'on' if config.mouse else 'off'}\nradix  {config.radix}")
    for name, line in config.aliases.items():
        print(f"alias  {name} = {line}")
    for name, keys in config.keys.items():
        print(f"key    {name} = {keys}")
    from kscope.key_ids import is_key, key_ids

    for sentence in doubts(key_ids(), is_key):
        print(f"kscope: {sentence}", file=sys.stderr)
