// The report's own script: draws the figures, sorts and filters tables, fits figures to paper.
(function () {
  "use strict";
  var plots = JSON.parse(document.getElementById("plots").textContent);
  var PAPER = 680;

  function draw(key, width) {
    var place = document.getElementById("plot-" + key), plot = plots[key];
    var room = Math.floor(width || place.clientWidth);
    if (!room || place.dataset.width === String(room)) { return; }
    place.dataset.width = String(room);
    drawFigure(place, plot.data, plot, room);
    // With a view box a picture scales where its width is not its own, as on paper.
    place.querySelectorAll(".main-svg").forEach(function (svg) {
      svg.setAttribute("viewBox", "0 0 " + svg.getAttribute("width") + " " + svg.getAttribute("height"));
    });
    if (place.dataset.heard) { return; }
    place.dataset.heard = "yes";
    place.on("plotly_click", function (event) {
      var number = event.points[0].customdata;
      if (Array.isArray(number)) { number = number[0]; }
      if (document.getElementById("trial-" + number)) { show(number); }
    });
  }

  function show(number) {
    location.hash = "trial-" + number;
    document.getElementById("trial-" + number).scrollIntoView({block: "center"});
  }

  var keys = Object.keys(plots);
  function drawAll(width) { keys.forEach(function (key) { draw(key, width); }); }
  // One after another, so that the page answers in between.
  (function next(place) {
    if (place >= keys.length) { document.documentElement.dataset.drawn = "yes"; return; }
    draw(keys[place]);
    setTimeout(next, 0, place + 1);
  })(0);

  var waiting;
  window.addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () { if (!matchMedia("print").matches) { drawAll(); } }, 150);
  });
  window.addEventListener("beforeprint", function () { drawAll(PAPER); });
  window.addEventListener("afterprint", function () { drawAll(); });

  function value(row, column) {
    var cell = row.cells[column], text = cell ? cell.textContent.replace(/\u2212/g, "-") : "";
    var number = parseFloat(text.replace(/^[(#]/, ""));
    return isNaN(number) ? text : number;
  }

  function compare(a, b) {
    var words = (typeof a === "string") - (typeof b === "string");
    return words || (a < b ? -1 : a > b ? 1 : 0);
  }

  function sortable(table) {
    var head = table.tHead.rows[0], body = table.tBodies[0], first = Array.from(body.rows);
    Array.from(head.cells).forEach(function (cell, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.append.apply(button, Array.from(cell.childNodes));
      cell.appendChild(button);
      button.addEventListener("click", function () {
        var order = {none: "ascending", ascending: "descending", descending: "none"}[cell.ariaSort || "none"];
        Array.from(head.cells).forEach(function (other) { other.removeAttribute("aria-sort"); });
        var rows = first.slice();
        if (order !== "none") {
          cell.setAttribute("aria-sort", order);
          var sign = order === "ascending" ? 1 : -1;
          var keyed = rows.map(function (row) { return [value(row, column), row]; });
          keyed.sort(function (a, b) { return sign * compare(a[0], b[0]); });
          rows = keyed.map(function (pair) { return pair[1]; });
        }
        body.append.apply(body, rows);
      });
    });
    var box = document.createElement("input"), label = document.createElement("label");
    var said = document.createElement("span");
    box.type = "search";
    said.setAttribute("role", "status");
    label.append("Filter ", box);
    var line = document.createElement("p");
    line.className = "filter";
    line.append(label, " ", said);
    table.parentElement.before(line);
    box.addEventListener("input", function () {
      var words = box.value.toLowerCase().split(/\s+/), shown = 0;
      first.forEach(function (row) {
        var text = row.textContent.toLowerCase();
        row.hidden = !words.every(function (word) { return text.includes(word); });
        shown += !row.hidden;
      });
      said.textContent = box.value ? shown + " of " + first.length + " rows" : "";
    });
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
})();
