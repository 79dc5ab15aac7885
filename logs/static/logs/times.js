// Shows each <time> in the viewer's time zone, or as a relative time; without this script it is in UTC.
"use strict";

(() => {
  const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const exact = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "medium"});
  const relative = new Intl.RelativeTimeFormat(undefined, {numeric: "auto", style: "short"});

  function ago(time) {
    const seconds = (time - Date.now()) / 1000;
    const [unit, length] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? UNITS.at(-1);
    return relative.format(Math.round(seconds / length), unit);
  }

  function write(element) {
    const time = new Date(element.dateTime);
    element.dataset.utc ??= element.textContent;
    const isRelative = element.dataset.style === "relative";
    element.textContent = isRelative ? ago(time) : exact.format(time);
    element.title = isRelative ? `${exact.format(time)}\n${element.dataset.utc}` : element.dataset.utc;
  }

  function writeAll(root = document) {
    root.querySelectorAll("time[data-style]").forEach(write);
  }

  document.addEventListener("webhooklog:rows", (event) => writeAll(event.target));
  setInterval(() => document.querySelectorAll("time[data-style=relative]").forEach(write), 30000);
  writeAll();
})();
