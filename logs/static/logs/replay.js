// Continues a replay of many deliveries step by step.
"use strict";

(() => {
  const PAUSE_MILLISECONDS = 200; // Between two steps, incoming deliveries get their turn.
  const replay = document.getElementById("replay");
  const form = document.getElementById("replay-form");
  if (!form) return;
  const [hint, next, stop] = ["hint", "continue", "stop"].map((name) => document.getElementById(`replay-${name}`));
  let isRunning = true;
  let isStopped = false;

  async function step() {
    const answer = await fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form))});
    if (answer.redirected || !answer.ok) throw new Error(String(answer.status));
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  // Until the end, the elements stay and only their content changes; otherwise the focus would be lost.
  function show(page) {
    const fetched = (id) => page.getElementById(id);
    if (!fetched("replay-form")) {
      isRunning = false;
      replay.replaceChildren(...fetched("replay").childNodes);
      replay.focus();
      return;
    }
    document.getElementById("replay-count").textContent = fetched("replay-count").textContent;
    document.getElementById("replay-bar").value = fetched("replay-bar").value;
    form.elements.progress.value = fetched("replay-form").elements.progress.value;
  }

  async function run() {
    try {
      while (isRunning && !isStopped) {
        await new Promise((resolve) => { setTimeout(resolve, PAUSE_MILLISECONDS); });
        if (!isStopped) show(await step());
      }
    } catch {
      hint.textContent = replay.dataset.interruptedText;
      hint.hidden = next.hidden = false;
      isRunning = false;
    }
    if (isStopped && form.isConnected) form.requestSubmit(stop);
  }

  // A step that has begun is not interrupted; the results that follow include it.
  stop.addEventListener("click", (event) => {
    if (!isRunning) return;
    event.preventDefault();
    isStopped = true;
  });

  hint.hidden = next.hidden = true;
  run();
})();
