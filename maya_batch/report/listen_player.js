// Plays the chapters' files and shows the sentence that is spoken.

const audio = find("audio");
const takePlayer = new Audio();
const SPEEDS = [0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3];
// Seconds by which a sentence may begin before its time: players seek to the nearest frame.
const EARLY = 0.05;

let current = null;
// The file that the player has.
let loaded = null;
// Where to stop: the end of a chunk that is played as a take.
let stopAt = null;
// Whether the page scrolls with the text; scrolling by hand ends it until the next command.
let following = true;

// The first file of a chapter that this browser plays.
function fileOf(chapter) {
  return chapter.files.find((file) => audio.canPlayType(file.type));
}

function load(url) {
  if (loaded === url) return;
  loaded = url;
  audio.src = url;
  audio.defaultPlaybackRate = audio.playbackRate = Number(find("speed").value);
}

function seek(seconds) {
  if (audio.readyState) audio.currentTime = seconds;
  else audio.addEventListener("loadedmetadata", () => { audio.currentTime = seconds; }, { once: true });
}

// A player that is paused before it plays is no error; a file that cannot be played is told by its event.
function begin(player) {
  player.play().catch(() => {});
}

function isAudible(sentence) {
  return sentence.start !== null && Boolean(fileOf(sentence.chapter));
}

function showCurrent(sentence) {
  if (current === sentence) return;
  if (current) current.element.classList.remove("current");
  const changed = !current || current.chunk !== sentence.chunk;
  current = sentence;
  sentence.element.classList.add("current");
  if (following) bringIntoView(sentence.element);
  if (changed) showChunk(sentence.chunk);
  kept.write("place", sentence.chunk.name);
}

function bringIntoView(element) {
  const place = element.getBoundingClientRect();
  const free = innerHeight - parseFloat(getComputedStyle(document.documentElement).scrollPaddingBottom);
  if (place.height && place.top > free * 0.1 && place.bottom < free * 0.8) return;
  element.scrollIntoView({ block: "center", behavior: "instant" });
}

function goTo(sentence, play = !audio.paused) {
  following = true;
  stopAt = null;
  takePlayer.pause();
  find("status").textContent = "";
  showCurrent(sentence);
  if (!isAudible(sentence)) {
    audio.pause();
    return;
  }
  const file = fileOf(sentence.chapter);
  load(file.url);
  seek(file.offset + sentence.start);
  if (play) begin(audio);
}

function togglePlay() {
  if (!takePlayer.paused) return takePlayer.pause();
  following = true;
  stopAt = null;
  if (!audio.paused) return audio.pause();
  const from = current ?? sentences.find(isAudible);
  if (!from) return say("No chapter has a finished file yet.");
  if (isAudible(from) && loaded === fileOf(from.chapter).url) begin(audio);
  else goTo(from, true);
}

function step(by) {
  const index = current ? Math.min(Math.max(current.index + by, 0), sentences.length - 1) : 0;
  if (sentences.length) goTo(sentences[index]);
}

function openChapter(chapter) {
  if (chapter.first <= chapter.last) goTo(sentences[chapter.first]);
}

function goToFlagged(by) {
  const from = current ? current.chunk.index : by > 0 ? -1 : chunks.length;
  for (let index = from + by; index >= 0 && index < chunks.length; index += by) {
    if (chunks[index].flagged) {
      openPanel();
      return goTo(sentences[chunks[index].first]);
    }
  }
  say(by > 0 ? "No flagged chunk follows." : "No flagged chunk comes before.");
}

// The last sentence that has begun.
function sentenceAt(chapter, seconds) {
  let low = chapter.first;
  let high = chapter.last;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const start = startOf(middle, chapter);
    if (start <= seconds + EARLY) low = middle;
    else high = middle - 1;
  }
  while (low > chapter.first && sentences[low].start === null) low -= 1;
  return sentences[low];
}

// Sentences that are left out of the chapter begin where the next one does.
function startOf(index, chapter) {
  for (let at = index; at <= chapter.last; at += 1) if (sentences[at].start !== null) return sentences[at].start;
  return Infinity;
}

// The chapter that sounds: one file may hold the whole book.
function chapterAt(seconds) {
  return chapters.findLast((chapter) => {
    const file = fileOf(chapter);
    return file && file.url === loaded && file.offset <= seconds + EARLY && chapter.first <= chapter.last;
  });
}

function follow() {
  const chapter = !audio.seeking && audio.readyState ? chapterAt(audio.currentTime) : undefined;
  if (!chapter) return;
  const seconds = audio.currentTime - fileOf(chapter).offset;
  showCurrent(sentenceAt(chapter, seconds));
  if (stopAt !== null && seconds >= stopAt) {
    stopAt = null;
    audio.pause();
  }
}

// `timeupdate` comes four times a second, which is late for a short sentence.
function followSmoothly() {
  follow();
  if (!audio.paused) requestAnimationFrame(followSmoothly);
}

// The event may come after another command.
function showState() {
  find("play").textContent = audio.paused ? "Play" : "Pause";
  if (audio.paused) return;
  takePlayer.pause();
  followSmoothly();
}

function playNextChapter() {
  const next = sentences.slice(current.chapter.last + 1).find(isAudible);
  if (next) goTo(next, true);
}

function changeSpeed(by) {
  const list = find("speed");
  list.selectedIndex = Math.min(Math.max(list.selectedIndex + by, 0), SPEEDS.length - 1);
  applySpeed();
}

function applySpeed() {
  const speed = Number(find("speed").value);
  audio.defaultPlaybackRate = audio.playbackRate = takePlayer.defaultPlaybackRate = takePlayer.playbackRate = speed;
  kept.write("speed", String(speed));
}

function preparePlayer() {
  const speed = Number(kept.read("speed")) || 1;
  for (const each of SPEEDS) {
    find("speed").append(make("option", { value: String(each), textContent: `${each}×`, selected: each === speed }));
  }
  applySpeed();
  for (const name of ["play", "pause"]) audio.addEventListener(name, showState);
  for (const name of ["seeked", "timeupdate"]) audio.addEventListener(name, follow);
  audio.addEventListener("ended", playNextChapter);
  audio.addEventListener("error", () => say("This browser cannot play the file of the chapter."));
  for (const name of ["wheel", "touchmove"]) addEventListener(name, () => { following = false; }, { passive: true });
  find("text").addEventListener("click", ({ target }) => {
    if (target.classList.contains("sentence")) goTo(sentences[target.dataset.index], true);
  });
  const place = chunkOf(kept.read("place"));
  if (place) goTo(sentences[place.first], false);
}
