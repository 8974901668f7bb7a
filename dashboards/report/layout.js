// Draws a figure at a width, in the report and in the live page.
var drawFigure = (function () {
  "use strict";
  var NARROW = 640;

  function merged(base, over) {
    var all = Object.assign({}, base);
    Object.keys(over).forEach(function (key) {
      var both = base[key] && over[key] && !Array.isArray(over[key]) && typeof over[key] === "object";
      all[key] = both ? merged(base[key], over[key]) : over[key];
    });
    return all;
  }

  function lines(names, width) {
    var used = 0, rows = 1;
    names.forEach(function (name) {
      var size = 8 * name.length + 64;
      if (used && used + size > width) { rows += 1; used = 0; }
      used += size;
    });
    return rows;
  }

  function layoutAt(plot, width) {
    var layout = width < NARROW ? merged(plot.layout, plot.narrow) : plot.layout;
    // Plotly writes into what it is given.
    var texts = layout.annotations.map(function (text) { return Object.assign({}, text); });
    layout = Object.assign({}, layout, {width: width, annotations: texts});
    if (!plot.names.length) { return layout; }
    // As many lines as the legend takes at this width, instead of those at the usual one.
    var more = 20 * (lines(plot.names, width) - lines(plot.names, 1040));
    var margin = Object.assign({}, layout.margin, {b: layout.margin.b + more});
    return Object.assign(layout, {height: layout.height + more, margin: margin});
  }

  // A text that would pass the edge of its figure moves back.
  function keepInside(place) {
    var edges = place.querySelector(".main-svg").getBoundingClientRect(), moved = {};
    place.querySelectorAll(".annotation").forEach(function (one) {
      var box = one.getBoundingClientRect(), index = Number(one.dataset.index);
      var by = Math.max(0, edges.left - box.left) || Math.min(0, edges.right - box.right);
      if (!by) { return; }
      moved["annotations[" + index + "].xshift"] = (place.layout.annotations[index].xshift || 0) + by;
    });
    if (Object.keys(moved).length) { Plotly.relayout(place, moved); }
  }

  return function (place, data, plot, width) {
    var config = {displayModeBar: false, responsive: false};
    Plotly.react(place, data, layoutAt(plot, width), config);
    keepInside(place);
  };
}());
