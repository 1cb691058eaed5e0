"""The figures and tables of the paper, all in one style.

For each figure there is a function that takes results and gives the numbers to be drawn, and one
that draws exactly these; `save_paper_figure` keeps both, and `draw_all` does everything for the
folder that a sweep left.
"""

from softcam.visualize.paper.architecture import architecture_caption, draw_architecture
from softcam.visualize.paper.draw import Sweep, draw_all
from softcam.visualize.paper.looks import (
    DOUBLE,
    LOOKS,
    POST_HOC,
    SINGLE,
    Look,
    in_order,
    look_of,
    named,
    paper_figure,
    paper_style,
)
from softcam.visualize.paper.maps import (
    MapRow,
    chosen_image,
    class_row,
    draw_classes,
    draw_maps,
    map_numbers,
    map_row,
)
from softcam.visualize.paper.panel import draw_panel, panel_numbers
from softcam.visualize.paper.path import draw_path, path_caption, path_numbers
from softcam.visualize.paper.printed import draw_table, latex, markdown
from softcam.visualize.paper.save import ShownImage, drop_stale_figures, save_paper_figure
from softcam.visualize.paper.shapes import architecture_numbers, stages
from softcam.visualize.paper.tables import TABLES, table_numbers

__all__ = [
    "DOUBLE",
    "LOOKS",
    "POST_HOC",
    "SINGLE",
    "TABLES",
    "Look",
    "MapRow",
    "ShownImage",
    "Sweep",
    "architecture_caption",
    "architecture_numbers",
    "chosen_image",
    "class_row",
    "draw_all",
    "draw_architecture",
    "draw_classes",
    "draw_maps",
    "draw_panel",
    "draw_path",
    "draw_table",
    "drop_stale_figures",
    "in_order",
    "latex",
    "look_of",
    "map_numbers",
    "map_row",
    "markdown",
    "named",
    "paper_figure",
    "paper_style",
    "panel_numbers",
    "path_caption",
    "path_numbers",
    "save_paper_figure",
    "stages",
    "table_numbers",
]
