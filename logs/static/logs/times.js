// Shows each <time> in the viewer's time zone, as a relative time, or as today's clock time, and lets date pickers take
// the viewer's time. Without this script, all of these are in UTC.
"use strict";

(() => {
  const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const exact = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "long"});
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

  // The value of a date picker for a time, in the viewer's time zone.
  function local(time) {
    const shifted = new Date(time - time.getTimezoneOffset() * 60000);
    return shifted.toISOString().slice(0, time.getSeconds() ? 19 : 16);
  }

  const inUtc = (value) => new Date(value).toISOString().replace(/(:00)?\.000Z$/, "Z");

  // Forms submit UTC. An unchanged value is submitted as it came: in autumn, an hour of local time occurs twice.
  function setUp(picker) {
    const utc = picker.defaultValue;
    const shown = utc ? local(new Date(`${utc}Z`)) : "";
    if (picker.value === utc) picker.value = shown; // Otherwise, the browser has restored what was entered before.
    picker.form.addEventListener("formdata", (event) => {
      if (picker.value) event.formData.set(picker.name, picker.value === shown ? utc : inUtc(picker.value));
    });
  }

  document.querySelectorAll("input[data-utc]").forEach(setUp);
  document.querySelectorAll("[data-clock]").forEach((zone) => {
    zone.textContent = exact.resolvedOptions().timeZone;
  });

  document.addEventListener("webhooklog:rows", (event) => writeAll(event.target));
  setInterval(() => document.querySelectorAll("time:not([data-style=exact])").forEach(write), 30000);
  writeAll();
})();
