"""Puts the server's binary into the wheel, if $LAKEPORT_WHEEL_BINARY names one.

Without it the wheel is pure Python and looks for the binary where it is installed.
"""

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags


class CarryBinary(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        binary = os.environ.get("LAKEPORT_WHEEL_BINARY")
        if not binary:
            return
        if not os.access(binary, os.X_OK):
            raise SystemExit(f"LAKEPORT_WHEEL_BINARY: {binary} is not a program")
        build_data["force_include"][os.path.abspath(binary)] = "lakeport/bin/lakeport"
        build_data["pure_python"] = False
        # What was built here runs on systems that are not older than this one.
        build_data["tag"] = f"py3-none-{next(platform_tags())}"
