// Adds copy buttons, and adds search, folding and line copying to the payload's tree.
"use strict";

(() => {
  const SHOWN_FOR_MS = 2000;

  async function write(text) {
    if (navigator.clipboard) {
      return navigator.clipboard.writeText(text);
    }
    // Browsers do not provide the clipboard on pages without TLS.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) {
      throw new Error("the browser did not copy");
    }
  }

  async function copy(button, text) {
    try {
      await write(text);
    } catch {
      return;
    }
    button.focus();
    if (button.dataset.confirming) {
      return;
    }
    const label = [...button.childNodes];
    button.dataset.confirming = "yes";
    button.setAttribute("aria-live", "polite");
    button.replaceChildren(button.dataset.copied);
    setTimeout(() => {
      button.replaceChildren(...label);
      delete button.dataset.confirming;
    }, SHOWN_FOR_MS);
  }

  document.querySelectorAll("[data-copy], [data-copy-text]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      copy(button, button.dataset.copyText ?? document.getElementById(button.dataset.copy).textContent);
    });
  });

  const payload = document.getElementById("payload");
  if (!payload) {
    return;
  }
  const tree = payload.querySelector(".tree");
  const search = document.getElementById("payload-search");
  const found = document.getElementById("payload-found");
  payload.querySelector(".payload-tools").hidden = false;

  // Folding.

  payload.querySelectorAll("[data-fold]").forEach((button) => {
    button.addEventListener("click", () => {
      tree.querySelectorAll("details").forEach((each) => { each.open = button.dataset.fold === "open"; });
    });
  });

  // Searching.

  let marks = [];
  let current = -1;

  function unmark() {
    marks.forEach((mark) => {
      const parent = mark.parentNode;
      mark.replaceWith(mark.textContent);
      parent.normalize();
    });
    marks = [];
    current = -1;
  }

  function markIn(element, wanted) {
    const text = element.textContent;
    // Some letters are longer in lower case, which would shift the marks.
    const lower = text.toLowerCase().length === text.length ? text.toLowerCase() : text;
    const parts = [];
    let from = 0;
    for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
      const mark = document.createElement("mark");
      mark.textContent = text.slice(at, at + wanted.length);
      parts.push(text.slice(from, at), mark);
      marks.push(mark);
      from = at + wanted.length;
    }
    if (parts.length) {
      element.replaceChildren(...parts, text.slice(from));
    }
  }

  function open(element) {
    for (let each = element.closest("details"); each; each = each.parentElement.closest("details")) {
      each.open = true;
    }
  }

  function showCount() {
    found.textContent = search.value ? `${marks.length ? `${current + 1} / ` : ""}${marks.length} ${payload.dataset.found}` : "";
  }

  function show(position) {
    marks[current]?.classList.remove("current");
    current = (position + marks.length) % marks.length;
    marks[current].classList.add("current");
    marks[current].scrollIntoView({block: "nearest", inline: "nearest"});
    showCount();
  }

  function find() {
    unmark();
    const wanted = search.value.toLowerCase();
    if (wanted) {
      tree.querySelectorAll(".key:not(.index), .value").forEach((element) => markIn(element, wanted));
      marks.forEach(open);
    }
    showCount();
    if (marks.length) {
      show(0);
    }
  }

  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(find, 150);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && marks.length) {
      event.preventDefault();
      show(current + (event.shiftKey ? -1 : 1));
    }
  });

  // Copying a line: the buttons move to the hovered or focused line.

  function pathOf(item) {
    const steps = [];
    for (let each = item; each; each = each.parentElement.closest("li")) {
      const key = each.querySelector(".key");
      if (key.classList.contains("index")) {
        steps.unshift(`[${key.textContent}]`);
      } else {
        steps.unshift(/^[A-Za-z_]\w*$/.test(key.textContent) ? `.${key.textContent}` : `[${JSON.stringify(key.textContent)}]`);
      }
    }
    return steps.join("").replace(/^\[/, ".[");
  }

  function jsonOf(item) {
    const list = item.querySelector(":scope > details > ul");
    if (!list) {
      return item.querySelector(".value").textContent;
    }
    const isObject = list.classList.contains("object");
    const members = [...list.children].map((child) => {
      const value = jsonOf(child);
      return isObject ? `${JSON.stringify(child.querySelector(".key").textContent)}: ${value}` : value;
    });
    return isObject ? `{${members.join(", ")}}` : `[${members.join(", ")}]`;
  }

  function valueOf(item) {
    const value = item.querySelector(":scope > .line > .string");
    return value ? JSON.parse(value.textContent) : jsonOf(item);
  }

  const tools = document.createElement("span");
  tools.className = "line-tools";
  const pathButton = document.createElement("button");
  const valueButton = document.createElement("button");
  [[pathButton, payload.dataset.copyPath], [valueButton, payload.dataset.copyValue]].forEach(([button, label]) => {
    button.type = "button";
    button.className = "button secondary small";
    button.textContent = label;
    button.dataset.copied = payload.dataset.copied;
    tools.append(button);
  });
  pathButton.addEventListener("click", () => copy(pathButton, pathOf(tools.closest("li"))));
  valueButton.addEventListener("click", () => copy(valueButton, valueOf(tools.closest("li"))));

  function moveTools(event) {
    const line = event.target.closest?.(".line");
    if (line && tools.parentElement !== line) {
      line.append(tools);
      // An incomplete value must not be copied.
      valueButton.hidden = Boolean(line.closest("li").querySelector(".cut, .more"));
    }
  }

  tree.addEventListener("pointerover", moveTools);
  tree.addEventListener("focusin", moveTools);

  // The keyboard: Tab stops at the tree once; arrows move between its lines.

  const lines = () => [...tree.querySelectorAll(".line")].filter((line) => line.checkVisibility());
  tree.querySelectorAll(".line").forEach((line) => { line.tabIndex = -1; });
  const first = tree.querySelector(".line");
  if (first) {
    first.tabIndex = 0;
  }

  tree.addEventListener("keydown", (event) => {
    const line = event.target.closest(".line");
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (!line || !step) {
      return;
    }
    event.preventDefault();
    const all = lines();
    const next = all[all.indexOf(line) + step];
    if (next) {
      line.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
  });
})();
