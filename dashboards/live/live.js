// The live page's own script: polls with the ledger's revision, draws figures, keys, selection.
(function () {
  "use strict";
  var main = document.getElementById("live");

  var help = document.getElementById("help");
  document.getElementById("keys").addEventListener("click", function () { help.showModal(); });

  // A poll tells what it has; where nothing is new the answer is 304 and nothing is touched.
  var etag = null;
  document.addEventListener("htmx:config:request", function (event) {
    var ctx = event.detail.ctx;
    if (ctx.sourceElement !== main) { return; }
    ctx.request.action = location.pathname + location.search;
    if (etag) { ctx.request.headers["If-None-Match"] = etag; }
  });
  document.addEventListener("htmx:after:request", function (event) {
    var ctx = event.detail.ctx;
    if (ctx.sourceElement !== main || !ctx.response) { return; }
    etag = ctx.response.headers.get("ETag") || etag;
    document.documentElement.dataset.polled = String(Date.now());
  });
  document.addEventListener("htmx:after:swap", function (event) {
    if (event.detail.ctx.sourceElement === main) { settle(); }
  });

  // How old the newest entry is.
  function ages() {
    document.querySelectorAll("time[datetime]").forEach(function (time) {
      var seconds = Math.round((Date.now() - new Date(time.dateTime)) / 1000);
      if (isNaN(seconds)) { return; }
      var said = seconds < 90 ? Math.max(0, seconds) + " s" : seconds < 5400 ?
        Math.round(seconds / 60) + " min" : seconds < 172800 ? Math.round(seconds / 3600) + " h" :
        Math.round(seconds / 86400) + " days";
      time.title = time.dateTime;
      time.textContent = said + " ago";
    });
  }
  setInterval(ages, 1000);

  // Figures: asked for when they come near, and again when the ledger has more.
  var FRESH = 10000;
  var library = null;
  function plotly() {
    library = library || new Promise(function (done, failed) {
      var script = document.createElement("script");
      script.src = main.dataset.plotly;
      script.onload = done;
      script.onerror = failed;
      document.head.append(script);
    });
    return library;
  }

  function numberOf(data) { return Array.isArray(data) ? data[0] : data; }

  function selected() {
    return new URLSearchParams(location.search).getAll("sel").map(Number);
  }

  // Marks of trials that are not selected fade, where some are.
  function marked(data) {
    var chosen = selected();
    return data.map(function (trace) {
      if (!Array.isArray(trace.customdata) || trace.type !== "scatter") { return trace; }
      var points = null;
      if (chosen.length) {
        points = [];
        trace.customdata.forEach(function (one, i) {
          if (chosen.includes(numberOf(one))) { points.push(i); }
        });
      }
      return Object.assign({}, trace, {selectedpoints: points});
    });
  }

  function draw(figure) {
    var place = figure.querySelector(".plot"), room = Math.floor(place.clientWidth);
    if (!figure.plot || !room) { return; }
    drawFigure(place, marked(figure.plot.data), figure.plot, room);
    if (place.dataset.heard) { return; }
    place.dataset.heard = "yes";
    place.on("plotly_click", function (event) {
      var number = numberOf(event.points[0].customdata), box = figure.parentElement.dataset;
      if (!Number.isInteger(number) || number < 0 || number >= Number(box.numTrials)) { return; }
      if (event.event && event.event.shiftKey) { choose(number, !selected().includes(number)); }
      else { location.href = box.trials + number; }
    });
  }

  function build(box, found) {
    var kept = {};
    box.querySelectorAll("figure").forEach(function (figure) { kept[figure.dataset.key] = figure; });
    found.figures.forEach(function (one) {
      var figure = kept[one.key];
      if (!figure || Boolean(figure.plot) !== Boolean(one.plot)) {
        figure = document.createElement("figure");
        figure.dataset.key = one.key;
        var caption = document.createElement("figcaption"), place = document.createElement("div");
        caption.append(document.createElement("b"), document.createElement("span"));
        place.className = "plot";
        place.setAttribute("role", "img");
        figure.append(caption, place);
      }
      delete kept[one.key];
      figure.plot = one.plot;
      figure.querySelector("b").textContent = one.title;
      figure.querySelector("span").textContent = one.text;
      figure.querySelector(".plot").setAttribute("aria-label", one.title);
      box.append(figure);
      draw(figure);
    });
    Object.values(kept).forEach(function (figure) { figure.remove(); });
    box.querySelectorAll(":scope > p").forEach(function (note) { note.remove(); });
    if (!found.figures.length) {
      var none = document.createElement("p");
      none.className = "small";
      none.textContent = "Nothing to draw yet.";
      box.append(none);
    }
    box.dataset.drawn = "yes";
  }

  function ask(box) {
    if (box.asking) { return; }
    box.asking = true;
    box.askedAt = Date.now();
    var headers = box.etag ? {"If-None-Match": box.etag} : {};
    Promise.all([fetch(box.dataset.figures, {headers: headers}), plotly()]).then(function (both) {
      var answer = both[0];
      if (answer.status === 304) { return; }
      if (!answer.ok) { throw new Error(String(answer.status)); }
      box.etag = answer.headers.get("ETag");
      return answer.json().then(function (found) { build(box, found); });
    }).catch(function () {
      if (!box.dataset.drawn) { box.querySelector("p").textContent = "Figures could not be read."; }
    }).finally(function () { box.asking = false; });
  }

  var seen = new IntersectionObserver(function (events) {
    events.forEach(function (event) {
      event.target.isNear = event.isIntersecting;
      if (event.isIntersecting) { ask(event.target); }
    });
  }, {rootMargin: "600px"});

  function boxes() { return Array.from(document.querySelectorAll("[data-figures]")); }

  // What a new body needs: figures that are watched, ages, the selected row.
  function settle() {
    boxes().forEach(function (box) {
      if (!box.watched) { box.watched = true; seen.observe(box); }
      else if (box.isNear && Date.now() - (box.askedAt || 0) > FRESH) { ask(box); }
    });
    ages();
    mark();
  }
  var waiting;
  addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () {
      document.querySelectorAll(".figures figure").forEach(draw);
    }, 150);
  });

  // Selection stands in the address, so that it can be sent and survives going back.
  function choose(number, on) {
    var query = new URLSearchParams(location.search), all = selected();
    query.delete("sel");
    all = all.filter(function (one) { return one !== number; });
    if (on) { all.push(number); }
    all.forEach(function (one) { query.append("sel", one); });
    var text = query.toString();
    history.replaceState(null, "", location.pathname + (text ? "?" + text : ""));
    etag = null;
    document.querySelectorAll("input[data-number]").forEach(function (box) {
      box.checked = all.includes(Number(box.dataset.number));
    });
    document.querySelectorAll(".figures figure").forEach(draw);
  }
  document.addEventListener("change", function (event) {
    if (event.target.dataset && event.target.dataset.number) {
      choose(Number(event.target.dataset.number), event.target.checked);
    } else if (event.target.form && event.target.form.className === "controls") {
      event.target.form.requestSubmit();
    }
  });
  // All that are selected are compared, those on other pages of the table too.
  document.addEventListener("submit", function (event) {
    if (event.target.id !== "select") { return; }
    var boxes = Array.from(event.target.querySelectorAll("input[data-number]"));
    if (!boxes.length) { return; }
    event.preventDefault();
    var start = boxes[0].value.slice(0, boxes[0].value.lastIndexOf(":") + 1);
    var query = new URLSearchParams();
    selected().forEach(function (number) { query.append("t", start + number); });
    location.href = "/compare?" + query.toString();
  });

  // Keys.
  var here = -1;
  function rows() { return Array.from(document.querySelectorAll("#select tbody tr, #sweeps tbody tr")); }
  function mark() {
    rows().forEach(function (row, i) { row.classList.toggle("here", i === here); });
  }
  function move(step) {
    var all = rows();
    if (!all.length) { return; }
    here = Math.max(0, Math.min(all.length - 1, here + step));
    mark();
    all[here].scrollIntoView({block: "nearest"});
  }
  var keys = {
    j: function () { move(1); },
    k: function () { move(-1); },
    x: function () {
      var box = here >= 0 && rows()[here].querySelector("input[data-number]");
      if (box) { box.click(); }
    },
    c: function () {
      var form = document.getElementById("select");
      if (form) { form.requestSubmit(); }
    },
    Enter: function () {
      var link = here >= 0 && rows()[here].querySelector("a");
      if (link) { link.click(); }
    },
    "/": function () {
      var box = document.getElementById("q");
      if (box) { box.focus(); }
    },
    d: function () { document.getElementById("theme").click(); },
    "?": function () { help.showModal(); }
  };
  document.addEventListener("keydown", function (event) {
    var typing = event.target.closest("input:not([type=checkbox]), select, textarea, button, a");
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) { return; }
    if (typing && !(event.target.closest("a, button") && event.key !== "Enter")) { return; }
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });

  // Copying.
  document.addEventListener("click", function (event) {
    var from = event.target.dataset && event.target.dataset.copy;
    if (!from) { return; }
    navigator.clipboard.writeText(document.getElementById(from).textContent).then(function () {
      event.target.textContent = "Copied";
    });
  });

  settle();
})();
