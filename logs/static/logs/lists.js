// Adds live updates, keys, suggestions and "select all" to a list.
"use strict";

(() => {
  const page = document.getElementById("list-page");
  const rows = document.getElementById("rows");
  const POLL_MILLISECONDS = 5000;
  const MAX_ROWS = 500;

  // A switch whose state the browser stores.
  function remembered(id) {
    const box = document.getElementById(id);
    if (!box) return () => false;
    box.checked = localStorage.getItem(`webhooklog.${id}`) !== "off";
    box.addEventListener("change", () => localStorage.setItem(`webhooklog.${id}`, box.checked ? "on" : "off"));
    return () => box.checked;
  }

  // --- Live updates. ---

  const isLive = remembered("live-switch");
  const news = document.getElementById("live-news");
  let cursor = page.dataset.cursor;
  let arrived = 0;

  async function fetchNewer() {
    const query = new URLSearchParams(location.search);
    if (cursor) query.set("cursor", cursor);
    const answer = await fetch(`${page.dataset.newerUrl}?${query}`, {headers: {accept: "application/json"}});
    if (answer.redirected || !answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  const linkOf = (row) => row.querySelector("a.row-link").getAttribute("href");
  const arrivalOf = (row) => row.querySelector("time").dateTime;

  // Insert a row, or replace its older version: each response repeats the rows of the last minute.
  function put(row, same) {
    if (same?.dataset.version === row.dataset.version) return;
    row.classList.add("new");
    if (same) {
      const hadFocus = same.contains(document.activeElement);
      same.replaceWith(row);
      if (hadFocus) row.querySelector("a.row-link").focus();
    } else {
      rows.insertBefore(row, [...rows.children].find((each) => arrivalOf(each) <= arrivalOf(row)) ?? null);
      arrived += 1;
    }
  }

  function show(newer) {
    cursor = newer.cursor;
    const template = document.createElement("template");
    template.innerHTML = newer.html;
    if (!template.content.children.length) return;
    const shown = new Map([...rows.children].map((row) => [linkOf(row), row]));
    [...template.content.children].reverse().forEach((row) => put(row, shown.get(linkOf(row))));
    rows.dispatchEvent(new CustomEvent("webhooklog:rows", {bubbles: true}));
    document.getElementById("no-rows")?.remove();
    document.getElementById("replay-selected")?.removeAttribute("disabled");
  }

  // A long list becomes slow. Reload it, which also corrects "Next", unless the user has scrolled or selected rows.
  function shorten() {
    const isInUse = scrollY > 0 || rows.contains(document.activeElement) || rows.querySelector(":checked");
    if (rows.children.length > MAX_ROWS && !isInUse) location.reload();
  }

  // Set the text only if it differs; otherwise screen readers would repeat it.
  function announce(text) {
    if (news.textContent !== text) news.textContent = text;
  }

  async function poll() {
    if (isLive() && !document.hidden) {
      try {
        show(await fetchNewer());
        announce(arrived ? `+${arrived}` : "");
        shorten();
      } catch {
        announce(page.dataset.awayText);
      }
    }
    setTimeout(poll, POLL_MILLISECONDS);
  }

  if ("live" in page.dataset) setTimeout(poll, POLL_MILLISECONDS);

  // --- Keys. Users whose speech software triggers keys can turn this off (WCAG 2.1.4). ---

  const hasKeys = remembered("keys-switch");

  function move(step) {
    const links = [...rows.querySelectorAll("a.row-link")];
    const here = links.indexOf(document.activeElement?.closest("tr")?.querySelector("a.row-link"));
    links[Math.min(Math.max(here + step, 0), links.length - 1)]?.focus();
  }

  const actions = {
    j: () => move(1),
    k: () => move(-1),
    "/": () => {
      document.getElementById("show-filters").checked = true;
      document.getElementById("search")?.focus();
    },
  };

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (!rows || !hasKeys() || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in actions) {
      event.preventDefault();
      actions[event.key]();
    }
  });

  // --- Suggestions. ---

  async function fetchValues(query) {
    const answer = await fetch(`${page.dataset.suggestionsUrl}?${query}`);
    return answer.redirected || !answer.ok ? [] : (await answer.json()).values;
  }

  async function suggest(input) {
    const start = input.value;
    const query = new URLSearchParams({column: input.name, start});
    const values = await fetchValues(query).catch(() => []); // The field works without suggestions.
    // Responses can arrive out of order.
    if (input.value !== start) return;
    input.list.replaceChildren(...values.map((value) => Object.assign(document.createElement("option"), {value})));
  }

  document.querySelectorAll("input[data-suggest]").forEach((input) => {
    const list = Object.assign(document.createElement("datalist"), {id: `values-of-${input.name}`});
    input.after(list);
    input.setAttribute("list", list.id);
    input.addEventListener("focus", () => suggest(input));
    input.addEventListener("input", () => suggest(input));
  });

  // --- Select all. ---

  document.getElementById("select-all")?.addEventListener("change", (event) => {
    rows.querySelectorAll("input[name=_selected_action]").forEach((box) => { box.checked = event.target.checked; });
  });
})();
