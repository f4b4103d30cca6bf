"use strict";
// The book: its data, and its text on the page. All texts are set as text, never as HTML.

const book = JSON.parse(document.getElementById("book").textContent);
const chapters = book.chapters;
const chunks = [];
const sentences = [];

const find = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Sentences and chunks of all chapters in one row each, which know where they belong.
function flatten() {
  for (const chapter of chapters) {
    chapter.first = sentences.length;
    for (const chunk of chapter.chunks) {
      Object.assign(chunk, { chapter, index: chunks.length, first: sentences.length });
      for (const [text, start, end, paragraph] of chunk.sentences) {
        sentences.push({ text, start, end, paragraph, chunk, chapter, index: sentences.length });
      }
      chunk.last = sentences.length - 1;
      chunks.push(chunk);
    }
    chapter.last = sentences.length - 1;
  }
}

function sentenceElement(sentence) {
  const element = make("span", { className: "sentence", textContent: sentence.text });
  element.dataset.index = sentence.index;
  if (sentence.chunk.flagged) element.classList.add("flagged");
  sentence.element = element;
  return element;
}

function showChapter(chapter) {
  const section = make("section", { id: `chapter-${chapter.number}`, className: "chapter" });
  if (chapter.part) section.append(make("p", { className: "part", dir: "auto", textContent: chapter.part }));
  section.append(make("h2", { dir: "auto", textContent: chapter.title }));
  if (chapter.remark) section.append(make("p", { className: "remark", lang: "en", textContent: chapter.remark }));
  let paragraph = null;
  for (const sentence of sentences.slice(chapter.first, chapter.last + 1)) {
    if (sentence.paragraph || !paragraph) {
      paragraph = make("p", { dir: "auto" });
      section.append(paragraph);
    } else {
      paragraph.append(" ");
    }
    paragraph.append(sentenceElement(sentence));
  }
  find("text").append(section);
}

function showContents() {
  const list = find("contents").querySelector("ol");
  for (const chapter of chapters) {
    const count = chapter.chunks.filter((chunk) => chunk.flagged).length;
    const link = make("a", { href: `#chapter-${chapter.number}`, dir: "auto", textContent: chapter.title });
    link.addEventListener("click", () => openChapter(chapter));
    const item = make("li", { value: chapter.number }, link);
    if (count) item.append(" ", make("span", { className: "count", textContent: `${count} flagged` }));
    list.append(item);
  }
  find("contents").open = matchMedia("(min-width: 64rem)").matches;
}

// What the browser keeps between visits; without it, marks last as long as the page is open.
const kept = {
  read(name) {
    try {
      return localStorage.getItem(`maya-batch ${name} ${book.id}`);
    } catch {
      return null;
    }
  },
  write(name, text) {
    try {
      localStorage.setItem(`maya-batch ${name} ${book.id}`, text);
      return true;
    } catch {
      return false;
    }
  },
};
