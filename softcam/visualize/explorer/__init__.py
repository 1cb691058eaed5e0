"""The evidence explorer: a page on which evidence maps can be touched.

region, reading      a rectangle over cells; a map and the sum that it is
subjects, pictures   networks and images, whatever they come as
asking, computing    what networks and twins say, each asked once
state                what is chosen, and every number that follows; no widgets
drawing, words, tables   as layers, sentences and tables
canvas, controls, explorer, page   as widgets, and on a page of its own
"""

from softcam.visualize.explorer.explorer import Explorer, explore
from softcam.visualize.explorer.page import show_explorer, write_explorer

__all__ = ["Explorer", "explore", "show_explorer", "write_explorer"]
