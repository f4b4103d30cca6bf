// The panel: the chunk that is spoken, its takes to compare, and what is to be done with it.

let shown = null;

function say(text) {
  find("status").textContent = text;
  openPanel();
}

function openPanel() {
  document.documentElement.classList.add("panel-open");
  if (current && following) bringIntoView(current.element);
}

function closePanel() {
  document.documentElement.classList.remove("panel-open");
  endMarking();
}

function showChunk(chunk) {
  if (!chunk) return;
  shown = chunk;
  find("chunk-name").textContent = chunk.voice ? `${chunk.name}, ${chunk.voice}` : chunk.name;
  find("spoken").textContent = chunk.spoken || chunk.sentences.map(([text]) => text).join(" ");
  find("takes").replaceChildren(...chunk.takes.map((take) => takeLine(chunk, take)));
  if (!chunk.takes.length) find("takes").append(make("li", { textContent: "No take yet." }));
  showChoices(chunk);
}

function takeLine(chunk, take) {
  const inUse = take.attempt === chunk.used;
  const about = [`take ${take.attempt}`, `${take.seconds.toFixed(1)} s`];
  if (inUse) about.push(chunk.omitted ? "left out of the chapter" : chunk.chosen ? "in use, chosen" : "in use");
  const play = make("button", { type: "button", className: "play-take", textContent: "Play" });
  play.ariaLabel = `Play take ${take.attempt}`;
  play.disabled = !canPlay(chunk, take);
  play.addEventListener("click", () => playTake(chunk, take));
  const keep = make("button", { type: "button", className: "keep", textContent: "Keep" });
  keep.dataset.action = `keep ${take.attempt}`;
  keep.ariaLabel = `Keep take ${take.attempt}`;
  keep.addEventListener("click", () => setAction(chunk, keep.dataset.action));
  const line = make("li", {}, make("div", { className: "row" }, make("p", { textContent: about.join(", ") }), play, keep));
  for (const problem of take.problems) line.append(make("p", { className: "problem", dir: "auto", textContent: problem }));
  if (play.disabled) line.append(make("p", { className: "quiet", textContent: "Its sound is not stored for this page." }));
  return line;
}

function isInChapter(chunk, take) {
  return take.attempt === chunk.used && isAudible(sentences[chunk.first]);
}

function canPlay(chunk, take) {
  return take.clip !== null || isInChapter(chunk, take);
}

// A take in use without a clip is played from its chapter.
function playTake(chunk, take) {
  if (!take || !canPlay(chunk, take)) return;
  audio.pause();
  if (take.clip === null) {
    goTo(sentences[chunk.first], true);
    stopAt = sentences[chunk.last].end;
    return;
  }
  takePlayer.src = take.clip;
  begin(takePlayer);
}

function showChoices(chunk) {
  if (chunk !== shown) return;
  const mark = marks[chunk.name];
  find("again").ariaPressed = String(mark?.action === "again");
  for (const keep of document.querySelectorAll(".keep")) keep.ariaPressed = String(mark?.action === keep.dataset.action);
  if (document.activeElement !== find("note")) find("note").value = mark?.note ?? "";
}

function beginMarking() {
  if (!shown) return;
  openPanel();
  find("marking").hidden = false;
  document.body.classList.add("marking");
}

function endMarking() {
  find("marking").hidden = true;
  document.body.classList.remove("marking");
}

function prepareTakes() {
  takePlayer.addEventListener("error", () => say("This take cannot be played: is the folder .maya next to this page?"));
  find("close").addEventListener("click", closePanel);
  find("again").addEventListener("click", () => shown && setAction(shown, "again"));
  // The chunk that is shown when the note is begun; another one may be spoken when it ends.
  let noted = null;
  find("note").addEventListener("focus", () => { noted = shown; audio.pause(); });
  find("note").addEventListener("input", () => {
    noted ??= shown;
    if (noted) setNote(noted, find("note").value);
  });
  find("note").addEventListener("blur", () => {
    noted = null;
    if (shown) showChoices(shown);
  });
  showChunk(current ? current.chunk : chunks[0]);
}
