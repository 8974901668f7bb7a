// Light and dark, in the report and in the live page: the reader's choice, else the system's.
(function () {
  "use strict";
  var root = document.documentElement, KEY = "ptxsweep-theme";

  // A file or a strict browser may have no storage: the choice then lasts as long as the page.
  function kept(choice) {
    try {
      if (choice) { localStorage.setItem(KEY, choice); }
      return localStorage.getItem(KEY);
    } catch (error) { return null; }
  }

  function turn() {
    var now = root.dataset.theme;
    var isDark = now ? now === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    kept(root.dataset.theme);
  }

  var before = kept();
  if (before === "light" || before === "dark") { root.dataset.theme = before; }
  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    if (!button) { return; }
    button.hidden = false;
    button.addEventListener("click", turn);
  });
}());
