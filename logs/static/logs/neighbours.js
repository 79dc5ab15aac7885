// Opens the previous or next row with k or j, as in the lists, unless the user has switched off the keys there.
"use strict";

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select");
  const isOff = localStorage.getItem("webhooklog.keys-switch") === "off";
  const rel = {j: "next", k: "prev"}[event.key];
  if (!rel || isTyping || isOff || event.ctrlKey || event.metaKey || event.altKey) return;
  document.querySelector(`.neighbours a[rel=${rel}]`)?.click();
});
