// Polls a channel's page until the result of a test message appears.
"use strict";

(() => {
  const POLL_MILLISECONDS = 1500;
  const PARTS = ["test-result", "running-state"];

  async function fetchPage() {
    const answer = await fetch(location.href);
    if (answer.redirected || !answer.ok) throw new Error(String(answer.status));
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  // The elements stay and only their content changes; otherwise screen readers would not announce the result.
  function show(page) {
    for (const id of PARTS) {
      const [shown, fetched] = [document.getElementById(id), page.getElementById(id)];
      if (shown.textContent === fetched.textContent && id === "test-result") continue;
      shown.replaceChildren(...fetched.childNodes);
      shown.toggleAttribute("data-poll", fetched.hasAttribute("data-poll"));
      shown.dispatchEvent(new CustomEvent("webhooklog:rows", {bubbles: true}));
    }
  }

  async function poll() {
    if (!document.getElementById("running-state").hasAttribute("data-poll")) return;
    try {
      if (!document.hidden) show(await fetchPage());
      setTimeout(poll, POLL_MILLISECONDS);
    } catch {
      // Signed out, or the site restarts: the page shows the result when it is reloaded.
    }
  }

  setTimeout(poll, POLL_MILLISECONDS);
})();
