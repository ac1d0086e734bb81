# SPDX-License-Identifier: Apache-2.0
"""How connections between Synfin and the kernel end, step by step, with the state of both ends at each.
  release_scenes.py SCENE [4 | 6]
Runs beside synfin-puppet in its lab. In `expect` of a scene the kernel's state, as ss says, comes first."""

import sys

import release_by_reset  # noqa: F401: they tell `scene` what they have
import release_in_order  # noqa: F401
import release_left_alone  # noqa: F401
from release_kit import SCENES, Net, Puppet


def main():
    family = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    SCENES[sys.argv[1]](Net(Puppet(), family))


if __name__ == "__main__":
    main()
