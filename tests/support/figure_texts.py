"""Which texts of a page's figures are cut: a script for a page, in a report or in the live page."""

from __future__ import annotations

#: Body of a JavaScript function: for each text that passes the edge of its figure, or of the part
#: that is drawn of it, the figure's title and the text. A pixel is rounding.
CUT = """
  var cut = [];
  document.querySelectorAll(".js-plotly-plot").forEach(function (plot) {
    var figure = plot.querySelector(".main-svg").getBoundingClientRect();
    var title = plot.closest("figure").querySelector("figcaption b").textContent;
    plot.querySelectorAll(".main-svg text").forEach(function (text) {
      var box = text.getBoundingClientRect(), left = figure.left, right = figure.right;
      var part = text.closest("[clip-path]");
      if (part) {
        var name = /#([^'")]+)/.exec(part.getAttribute("clip-path"))[1];
        var clip = document.getElementById(name).querySelector("rect"), at = part.getScreenCTM().e;
        left = Math.max(left, at + clip.x.baseVal.value);
        right = Math.min(right, at + clip.x.baseVal.value + clip.width.baseVal.value);
      }
      if (box.width && (box.left < left - 1 || box.right > right + 1 ||
          box.top < figure.top - 1 || box.bottom > figure.bottom + 1)) {
        cut.push([title, text.textContent]);
      }
    });
  });
  return cut;
"""
