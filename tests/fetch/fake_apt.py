"""Plays apt-get, apt-cache, apt-config and dpkg-deb, by the name it is called with.

The folder FAKE_ARCHIVE holds ``packages.json`` (what Debian has: by name, its fields and the
``files`` in it), ``say.json`` (what a command is to fail with, by its name) and ``calls`` (a line
for each command run). A package is a line of JSON with its fields, then a tar archive.
"""

import json
import os
import re
import sys
from pathlib import Path

ARCHIVE = Path(os.environ["FAKE_ARCHIVE"])
PACKAGES = json.loads((ARCHIVE / "packages.json").read_text())


def tar_of(files: dict[str, str]) -> bytes:
    import io  # most commands do without, and each is a process
    import tarfile

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return raw.getvalue()


def stanza(name: str, fields: dict[str, str]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in ({"Package": name} | fields).items())


def main(tool: str, arguments: list[str]) -> int:
    given = [word for word in arguments if not word.startswith("-")]
    verb = "unpack" if "--fsys-tarfile" in arguments else (given or [""])[0]
    with open(ARCHIVE / "calls", "a") as calls:
        print(tool, verb, file=calls)
    say = json.loads((ARCHIVE / "say.json").read_text()).get(verb)
    if say is not None:
        print(say, file=sys.stderr)
        return 100
    if tool == "apt-config":
        print(f"architecture='amd64'\nlist='{ARCHIVE}/sources.list'\nparts='{ARCHIVE}/none'")
    elif tool == "dpkg-deb":
        fields, _, tar = Path(given[0]).read_bytes().partition(b"\n")
        if verb == "unpack":
            sys.stdout.buffer.write(tar)
        else:
            print(stanza(**json.loads(fields)), end="")
    else:
        (option,) = (word for word in arguments if word.startswith("--config-file="))
        settings = dict(re.findall(r'^(\S+) "(.*)";$', Path(option[14:]).read_text(), re.M))
        apt(verb, given, settings)
    return 0


def apt(verb: str, given: list[str], settings: dict[str, str]) -> None:
    lists = Path(settings["Dir::State::lists"])
    known = lists / f"mirror_binary-{settings['APT::Architecture']}_Packages"
    if verb == "update":
        if settings["APT::Architecture"] in ("amd64", "arm64"):
            known.write_text(json.dumps(PACKAGES))
        return
    name, _, version = given[-1].partition("=")
    package = json.loads(known.read_text()).get(name)
    if package is None:
        sys.exit(f"E: No packages found: {name}")
    fields = {key: value for key, value in package.items() if key != "files"}
    if verb == "show":
        print(stanza(name, fields))
        return
    if name not in PACKAGES or PACKAGES[name]["Version"] != version:
        sys.exit(f"E: Failed to fetch {name}  404  Not Found")
    header = json.dumps({"name": name, "fields": fields}).encode()
    Path(f"{name}_{version}.deb").write_bytes(header + b"\n" + tar_of(package["files"]))


sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:]))
