"use strict";
for (const button of document.querySelectorAll(".command button")) {
  const code = button.parentElement.querySelector("code");
  const label = button.firstChild;
  button.hidden = false;
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(code);
    let copied = true;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      copied = document.execCommand("copy");
    }
    label.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => { label.textContent = "Copy"; }, 2000);
  });
}
const players = document.querySelectorAll("audio");
for (const player of players) {
  player.addEventListener("play", () => {
    for (const other of players) if (other !== player) other.pause();
  });
}
