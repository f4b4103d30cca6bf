// Marks: what a person wants done with a chunk. They are kept in the browser, and leave the page as files.

const ACTIONS = /^(again|note|keep +([1-9][0-9]{0,8}))$/i;
// Control characters, line separators, and what turns text around: `redo` refuses the first ones.
const UNFIT = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

// By the name of a chunk: {action: "again", "keep 2" or "note", note, takes}; `takes` is how many there were.
let marks = {};

const chunkOf = (name) => chunks.find((chunk) => chunk.name === name);

// Any page that is opened as a file may have written there: what is no mark must not reach the script that is saved.
function readMarks() {
  marks = {};
  let stored = {};
  try {
    stored = JSON.parse(kept.read("marks")) ?? {};
  } catch {
    return;
  }
  for (const [name, mark] of Object.entries(stored)) {
    const action = cleanAction(mark?.action);
    if (action) marks[name] = { action, note: cleanNote(mark.note), takes: Number(mark.takes) || 0 };
  }
}

// The action in the form that `redo` reads; empty if it is none.
function cleanAction(text) {
  const found = String(text).match(ACTIONS);
  if (!found) return "";
  return found[2] ? `keep ${found[2]}` : found[1].toLowerCase();
}

function cleanNote(text) {
  return String(text ?? "").replace(UNFIT, " ").trim().slice(0, 2000);
}

function saveMarks() {
  if (!kept.write("marks", JSON.stringify(marks))) say("This browser keeps no marks: save them before you close the page.");
  showMarks();
}

function putMark(chunk, action, note) {
  if (action === "note" && !note) delete marks[chunk.name];
  else marks[chunk.name] = { action, note, takes: chunk.takes.length };
}

function setMark(chunk, action, note) {
  putMark(chunk, action, note);
  saveMarks();
}

function setAction(chunk, action) {
  const mark = marks[chunk.name];
  setMark(chunk, mark && mark.action === action ? "note" : action, mark ? mark.note : "");
}

function setNote(chunk, text) {
  const mark = marks[chunk.name];
  setMark(chunk, mark ? mark.action : "note", cleanNote(text));
}

// A new take was made, or the take to keep is in use: the mark has done its work, and its note stays.
function isDone(mark, chunk) {
  if (mark.action === "again") return chunk.takes.length > mark.takes;
  return mark.action !== "note" && chunk.chosen && mark.action === `keep ${chunk.used}`;
}

function settleMarks() {
  let done = 0;
  for (const [name, mark] of Object.entries(marks)) {
    const chunk = chunkOf(name);
    if (chunk && isDone(mark, chunk)) {
      done += 1;
      putMark(chunk, "note", mark.note);
    }
  }
  if (!done) return;
  saveMarks();
  say(done === 1 ? "1 mark was carried out and is removed." : `${done} marks were carried out and are removed.`);
}

function markedChunks() {
  return chunks.filter((chunk) => marks[chunk.name]);
}

// Marks of chunks whose text or settings changed: `redo` would refuse them.
function oldMarks() {
  return Object.keys(marks).filter((name) => !chunkOf(name));
}

function csvField(text) {
  return /[",\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function marksAsCsv() {
  const rows = markedChunks().map((chunk) => [chunk.name, marks[chunk.name].action, marks[chunk.name].note]);
  return [["ref", "action", "note"], ...rows].map((row) => `${row.map(csvField).join(",")}\n`).join("");
}

function marksAsScript() {
  return book.script[0] + marksAsCsv() + book.script[1];
}

function saveFile(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

// The rows of a CSV text, RFC 4180.
function csvRows(text) {
  const rows = [];
  let row = [];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/g)) {
    row.push(quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'));
    if (end === ",") continue;
    if (row.length > 1 || row[0]) rows.push(row);
    row = [];
  }
  return rows;
}

function importCsv(text) {
  const [head = [], ...rows] = csvRows(text.replace(/^\ufeff/, ""));
  const column = (row, name) => row[head.indexOf(name)] ?? "";
  let known = 0;
  for (const row of rows) {
    const chunk = chunkOf(column(row, "ref"));
    const action = cleanAction(column(row, "action"));
    if (!chunk || !action) continue;
    known += 1;
    putMark(chunk, action, cleanNote(column(row, "note")));
  }
  saveMarks();
  const other = rows.length - known;
  say(`${known} of ${rows.length} marks imported.${other ? " The others name no chunk of this page, or no action." : ""}`);
  showChunk(current ? current.chunk : chunks[0]);
}

function markLine(name, mark, chunk) {
  const label = [mark.action === "note" ? "" : mark.action, mark.note].filter(Boolean).join(": ");
  const remove = make("button", { type: "button", textContent: "Remove", ariaLabel: `Remove the mark of ${name}` });
  remove.addEventListener("click", () => { delete marks[name]; saveMarks(); });
  const link = make("button", { type: "button", className: "link", textContent: name, disabled: !chunk });
  if (chunk) link.addEventListener("click", () => goTo(sentences[chunk.first]));
  const text = make("span", { dir: "auto", textContent: chunk ? label : `${label} (its text changed: not saved)` });
  return make("li", {}, link, " ", text, " ", remove);
}

function showMarks() {
  for (const element of document.querySelectorAll(".sentence.marked")) element.classList.remove("marked");
  const lines = [];
  for (const chunk of markedChunks()) {
    lines.push(markLine(chunk.name, marks[chunk.name], chunk));
    for (let index = chunk.first; index <= chunk.last; index += 1) sentences[index].element.classList.add("marked");
  }
  for (const name of oldMarks()) lines.push(markLine(name, marks[name], null));
  find("marks").replaceChildren(...lines);
  for (const id of ["export-script", "export-csv"]) find(id).disabled = !markedChunks().length;
  if (current) showChoices(current.chunk);
}

function prepareMarks() {
  find("command").textContent = book.command;
  find("export-csv").addEventListener("click", () => saveFile("marks.csv", marksAsCsv()));
  find("export-script").addEventListener("click", () => saveFile("redo.sh", marksAsScript()));
  find("import-button").addEventListener("click", () => find("import").click());
  find("import").addEventListener("change", async ({ target }) => {
    if (target.files.length) importCsv(await target.files[0].text());
    target.value = "";
  });
  addEventListener("storage", () => { readMarks(); showMarks(); });
  readMarks();
  settleMarks();
  showMarks();
}
