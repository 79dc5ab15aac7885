// Lets the key / lead to the search box of every page, except lists, whose own field it leads to.
"use strict";

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select");
  // Users whose speech software triggers keys turn them off on a list (WCAG 2.1.4).
  const isOff = document.getElementById("list-page") || localStorage.getItem("webhooklog.keys-switch") === "off";
  if (event.key !== "/" || isOff || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const box = document.getElementById("find-box");
  if (box) {
    event.preventDefault();
    box.focus();
  }
});
