// Updates the dashboard in place while its tab is visible; without this script, it shows the time of its request.
"use strict";

(() => {
  const POLL_MILLISECONDS = 30000;
  const MAX_WAIT_MILLISECONDS = 300000;
  const TIMEOUT_MILLISECONDS = 20000;
  const dashboard = document.getElementById("dashboard");
  const problem = document.getElementById("update-problem");
  const pause = document.getElementById("pause-updates");
  let timer;
  let failures = 0;
  let isPaused = false;
  let isUpdating = false;

  // Set the text only if it differs; otherwise screen readers would repeat it.
  function report(text) {
    if (problem.textContent !== text) problem.textContent = text;
    document.body.classList.toggle("not-updated", Boolean(text));
  }

  // Return what the server sent for a part, without what times.js and the viewer have changed.
  function original(part) {
    const copy = part.cloneNode(true);
    copy.querySelectorAll("time").forEach((each) => {
      each.textContent = each.dataset.utc ?? each.textContent;
      each.removeAttribute("title");
      each.removeAttribute("data-utc");
    });
    copy.querySelectorAll("details").forEach((each) => { each.open = false; });
    return copy;
  }

  // Return the element in a new part that does the same as one in the old part.
  function counterpart(element, part) {
    const nameOf = (each) => each.getAttribute("href") ?? each.getAttribute("aria-label");
    return [...part.querySelectorAll(element.tagName)].find((each) => nameOf(each) === nameOf(element));
  }

  function replace(old, part) {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const open = [...old.querySelectorAll("details")].map((each) => each.open);
    const scrolled = [...old.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    old.replaceWith(part);
    part.dispatchEvent(new CustomEvent("webhooklog:rows", {bubbles: true}));
    part.querySelectorAll("details").forEach((each, number) => { each.open = open[number] ?? false; });
    part.querySelectorAll(".scroll").forEach((each, number) => { each.scrollLeft = scrolled[number] ?? 0; });
    if (focused) (counterpart(focused, part) ?? dashboard).focus({preventScroll: true});
  }

  // Replace the parts that have changed; what is at the top of the window stays there.
  function show(page) {
    const parts = [...page.getElementById("dashboard").children];
    if (parts.length !== dashboard.children.length) return location.reload(); // The server has another release now.
    const first = [...dashboard.children].findIndex((each) => each.getBoundingClientRect().bottom > 0);
    const topOf = () => dashboard.children[first]?.getBoundingClientRect().top ?? 0;
    const top = topOf();
    [...dashboard.children].forEach((old, number) => {
      if (!original(old).isEqualNode(parts[number])) replace(old, parts[number]);
    });
    if (scrollY > 0) scrollBy(0, topOf() - top);
    replace(document.getElementById("updated"), page.getElementById("updated"));
  }

  function stopSignedOut(url) {
    isPaused = true;
    pause.hidden = true;
    report(`${problem.dataset.signedOutText} `);
    problem.append(Object.assign(document.createElement("a"), {href: url, textContent: problem.dataset.signInText}));
  }

  async function fetchPage() {
    const answer = await fetch(location.href, {signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS)});
    if (answer.redirected) return stopSignedOut(answer.url);
    if (!answer.ok) throw new Error(String(answer.status));
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  async function update() {
    if (isPaused || isUpdating || document.hidden) return;
    clearTimeout(timer);
    isUpdating = true;
    try {
      const page = await fetchPage();
      if (page && !isPaused) show(page);
      if (page && !isPaused) report("");
      failures = 0;
    } catch {
      failures += 1;
      report(problem.dataset.failedText.replace("%s", document.querySelector("#updated time").textContent));
    }
    isUpdating = false;
    timer = setTimeout(update, Math.min(POLL_MILLISECONDS * 2 ** Math.max(failures - 1, 0), MAX_WAIT_MILLISECONDS));
  }

  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    [pause.textContent, pause.dataset.resumeText] = [pause.dataset.resumeText, pause.textContent];
    report(isPaused ? problem.dataset.pausedText : "");
    update();
  });
  document.addEventListener("visibilitychange", update);
  addEventListener("online", update);
  pause.hidden = false;
  timer = setTimeout(update, POLL_MILLISECONDS);
})();
