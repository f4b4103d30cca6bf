// Keys and buttons, and the start of the page.

const KEYS = {
  " ": togglePlay,
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  j: () => goToFlagged(1),
  k: () => goToFlagged(-1),
  "+": () => changeSpeed(1),
  "=": () => changeSpeed(1),
  ">": () => changeSpeed(1),
  "-": () => changeSpeed(-1),
  "<": () => changeSpeed(-1),
  m: beginMarking,
  "?": () => find("keys").showModal(),
  Escape: closePanel,
};

const MARKING = {
  a: () => setAction(shown, "again"),
  x: () => { delete marks[shown.name]; saveMarks(); },
  n: () => find("note").focus(),
  Escape: () => {},
};

function takeOf(key) {
  return /^[1-9]$/.test(key) && shown ? shown.takes.find((take) => take.attempt === Number(key)) : undefined;
}

function commandOf(key) {
  const take = takeOf(key);
  if (!document.body.classList.contains("marking")) return take ? () => playTake(shown, take) : KEYS[key];
  if (take) return () => { setAction(shown, `keep ${key}`); endMarking(); };
  return MARKING[key] ? () => { endMarking(); MARKING[key](); } : KEYS[key];
}

// Whether a key belongs to the element that has the focus: texts are written there, and buttons pressed.
function isTaken({ key, target }) {
  if (target.matches("input, textarea, select")) return true;
  return target.matches("button, a, summary") && (key === " " || key === "Enter");
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || find("keys").open) return;
  if (isTaken(event)) {
    if (event.key === "Escape" || (event.key === "Enter" && event.target === find("note"))) event.target.blur();
    return;
  }
  const command = commandOf(event.key);
  if (!command) return;
  event.preventDefault();
  command();
}

const BUTTONS = {
  play: togglePlay,
  back: () => step(-1),
  forward: () => step(1),
  "previous-flagged": () => goToFlagged(-1),
  "next-flagged": () => goToFlagged(1),
  mark: openPanel,
  help: () => find("keys").showModal(),
  "close-keys": () => find("keys").close(),
};

function start() {
  flatten();
  showContents();
  chapters.forEach(showChapter);
  preparePlayer();
  prepareTakes();
  prepareMarks();
  for (const [id, command] of Object.entries(BUTTONS)) find(id).addEventListener("click", command);
  find("speed").addEventListener("change", () => { applySpeed(); find("speed").blur(); });
  // After a click, Space plays and does not press the button again; the keyboard's own presses have no detail.
  addEventListener("click", ({ detail, target }) => { if (detail) target.closest("button")?.blur(); });
  addEventListener("keydown", pressed, { capture: true });
}

start();
