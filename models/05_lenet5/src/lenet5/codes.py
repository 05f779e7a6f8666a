"""The pictures that LeNet-5 compares its last features with: a digit of 7 × 12 pixels for each class.

The paper takes such pictures (figure 3) and not a one for the class and zeros elsewhere, so that digits which look
alike have codes that are alike, and because a unit that is off nearly always is hard to learn. These are drawn anew.
"""

import torch

HEIGHT, WIDTH = 12, 7

DRAWINGS = """
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
..###..  ...#...  ..###..  .#####.  ....##.  ######.  ...###.  #######  ..###..  ..####.
.##.##.  ..##...  .#...#.  #....##  ...###.  ##.....  ..##...  #.....#  .#...#.  .#...##
##...##  .###...  #.....#  .....##  ..##.#.  ##.....  .##....  .....##  ##...##  ##....#
#.....#  ...#...  ......#  .....#.  ..#..#.  ######.  .#.....  ....##.  .#...#.  ##....#
#.....#  ...#...  .....##  ..###..  .##..#.  ##...##  ######.  ....#..  ..###..  .#...##
#.....#  ...#...  ....##.  .....#.  ##...#.  ......#  ##...##  ...##..  .##.##.  ..###.#
#.....#  ...#...  ...##..  .....##  #######  ......#  #.....#  ...#...  #.....#  ......#
##...##  ...#...  ..##...  #....##  .....#.  #.....#  #.....#  ..##...  #.....#  .....##
.##.##.  ...#...  .##....  ##...#.  .....#.  ##...##  ##...##  ..#....  ##...##  ....##.
..###..  .#####.  #######  .#####.  .....#.  .#####.  .#####.  .##....  .#####.  .###...
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""


def digit_codes():
    """Return the drawings as the RBF units' weights, float32 (10, 84): 1 for ink and -1 for paper, row by row."""
    lines = [line.split() for line in DRAWINGS.strip().splitlines()]
    digits = ["".join(rows) for rows in zip(*lines, strict=True)]
    return torch.tensor([[1.0 if sign == "#" else -1.0 for sign in digit] for digit in digits])
