// The layout of a figure at a width, in the report and in the live page.
var figureLayout = (function () {
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

  return function (plot, width) {
    var layout = width < NARROW ? merged(plot.layout, plot.narrow) : plot.layout;
    if (!plot.names.length) { return Object.assign({}, layout, {width: width}); }
    // As many lines as the legend takes at this width, instead of those at the usual one.
    var more = 20 * (lines(plot.names, width) - lines(plot.names, 1040));
    var margin = Object.assign({}, layout.margin, {b: layout.margin.b + more});
    return Object.assign({}, layout, {width: width, height: layout.height + more, margin: margin});
  };
}());
