// Shows each <time> in the viewer's time zone, as a relative time, or as today's clock time; without this script it is in UTC.
"use strict";

(() => {
  const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const exact = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "medium"});
  const clock = new Intl.DateTimeFormat(undefined, {timeStyle: "short"});
  const relative = new Intl.RelativeTimeFormat(undefined, {numeric: "auto", style: "short"});

  function ago(time) {
    const seconds = (time - Date.now()) / 1000;
    const [unit, length] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? UNITS.at(-1);
    return relative.format(Math.round(seconds / length), unit);
  }

  function short(time, style) {
    if (style === "relative") return ago(time);
    const isToday = time.toDateString() === new Date().toDateString();
    return style === "clock" && isToday ? clock.format(time) : exact.format(time);
  }

  function write(element) {
    const time = new Date(element.dateTime);
    element.dataset.utc ??= element.textContent;
    element.textContent = short(time, element.dataset.style);
    const isExact = element.dataset.style === "exact";
    element.title = isExact ? element.dataset.utc : `${exact.format(time)}\n${element.dataset.utc}`;
  }

  function writeAll(root = document) {
    root.querySelectorAll("time[data-style]").forEach(write);
  }

  document.addEventListener("webhooklog:rows", (event) => writeAll(event.target));
  setInterval(() => document.querySelectorAll("time:not([data-style=exact])").forEach(write), 30000);
  writeAll();
})();
