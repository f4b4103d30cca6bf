"""Walks a tree of XHTML, HTML or DTBook and collects its blocks."""

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing import xhtml_elements as elements
from maya_batch.importing.blocks import Block, Place
from maya_batch.importing.xhtml_block_text import BlockText
from maya_batch.importing.xhtml_left_out import leave_out, reason_of
from maya_batch.importing.xhtml_scope import Scope, block_scope, inline_scope, path_in

#: A block takes about 1 KB of memory and 60 µs until it is written; a novel of 120,000 words has 3,000 of them.
_MOST_BLOCKS = 200_000
_LONGEST_TEXT = 20_000_000
"""The most characters of a text without a tag in it, as of a chapter: its words take 10 times as much memory."""
_WHITE = " \t\n\r\f"
#: Their text is in attributes: when it is kept, it is added as a whole.
_SAID_BY_ATTRIBUTES = ("alternative text", "formula")


class TreeReader:
    """Walks one tree, without recursion.

    `keep` is as in `xhtml_blocks.read_blocks`.
    """

    def __init__(self, file: str, keep: frozenset[str]) -> None:
        self._file, self._keep = file, keep
        self._blocks: list[Block] = []
        self._open: BlockText | None = None
        self._owner: Scope | None = None
        self._ended = False
        """The element of the open block has ended; a line of verse may follow."""
        self._waiting: list[str] = []
        """Ids of elements since the last block."""
        self._initial: Block | None = None
        """A drop cap that belongs to the next paragraph."""

    def read(self, root: etree._Element) -> list[Block]:
        """The blocks of the tree.

        A UsageError says that it has too many.
        """
        scope: Scope | None = None
        walk = etree.iterwalk(root, events=("start", "end"))
        skipped: etree._Element | None = None
        for event, element in walk:
            if event == "start":
                entered = self._entered(element, scope)
                if entered is None:
                    skipped = element
                    walk.skip_subtree()
                else:
                    scope = entered
                    if element.text and scope.is_raised:
                        self._opened(scope).add_raised(element.text)
                    elif element.text:
                        self._add(element.text, scope)
                continue
            if element is skipped:
                skipped = None
            elif scope is not None:
                self._leave(scope, element)
                scope = scope.parent
            if element.tail and scope is not None:
                self._add(element.tail, scope)
        self._flush()
        self._emit_initial()
        if self._waiting:
            self._emit(
                Block("paragraph", "", Place(self._file, f"/{elements.name_of(root)}"), ids=tuple(self._waiting))
            )
        return self._blocks

    def _entered(self, element: etree._Element, parent: Scope | None) -> Scope | None:
        """The scope of an element; None if it was dealt with as a whole."""
        name = elements.name_of(element)
        path = path_in(parent, name)
        if name in elements.NO_TEXT:
            return None
        attributes = len(element.attrib) > 0
        roles = elements.roles_of(element) if attributes else frozenset()
        is_block = name in elements.BLOCKS or parent is None
        if parent is not None and self._is_left_out(element, name, roles, is_block, parent):
            return None
        if is_block:
            scope = block_scope(parent, element, name, path, roles)
            self._begin(scope, parent)
        else:
            assert parent is not None
            scope = inline_scope(parent, name, path)
            self._begin_inline(scope, parent, element)
        if attributes:
            self._note_ids(element)
        scope.blocks_before = len(self._blocks)
        return scope

    def _begin(self, scope: Scope, parent: Scope | None) -> None:
        text = self._open
        if scope.merges is not None and not scope.is_block:
            self._begin_merged(scope)
        elif text is not None and self._continues_verse(scope, text):
            text.break_line()
            self._ended, self._owner = False, scope
        else:
            self._flush()
        if scope.kind == "table" and scope.name == "table":
            scope.merges = " "

    def _begin_merged(self, scope: Scope) -> None:
        owner, text = scope.owner, self._open
        if owner.kind == "table" and scope.name == "caption":
            self._flush()
            scope.block, scope.merges, scope.kind = None, None, "figure"
        elif text is None or not text.has_text:
            return
        elif owner.kind != "table":
            text.insert(scope.merges or " ")
        elif scope.name == "tr":
            text.break_line()
        elif scope.name in ("td", "th") and scope.parent is not None and _cells(scope.parent) > 1:
            text.begin_cell()
        elif scope.name not in ("tbody", "thead", "tfoot", "td", "th"):
            text.add(" ")

    def _continues_verse(self, scope: Scope, text: BlockText) -> bool:
        """Whether a block element is the next line of the open verse: each line is an element among its like."""
        owner = self._owner
        return (
            self._ended
            and scope.kind == text.kind == "verse"
            and owner is not None
            and owner.parent is scope.parent
            and owner.name == scope.name
            and not text.has_breaks
            and text.last_line_is_short()
        )

    def _begin_inline(self, scope: Scope, parent: Scope, element: etree._Element) -> None:
        if scope.name == "br":
            self._break_line(scope)
        elif parent.has_span_lines and scope.name == "span" and self._open is not None:
            self._open.break_line()
        elif scope.name == "q" and not elements.beginning_of(element).startswith(("“", '"', "«", "„", "‘", "'")):
            scope.opens_quote = True
            self._opened(scope).insert("“")
        else:
            scope.is_raised = elements.is_raised_number(element, scope.name)

    def _break_line(self, scope: Scope) -> None:
        text = self._open
        if text is None or not text.has_text:
            return
        if scope.owner.merges is not None:
            text.add(" ")
            return
        text.breaks += 1
        if text.breaks > 1:  # a blank line
            self._flush()
            return
        text.has_breaks = True
        if text.kind == "code":
            text.insert("\n")
        else:
            text.break_line()

    def _leave(self, scope: Scope, element: etree._Element) -> None:
        if not scope.is_block:
            if scope.opens_quote and self._open is not None:
                self._open.insert("”")
            return
        text = self._open
        if text is not None and text.kind == "verse" and self._owner is scope and not text.has_breaks:
            self._ended = True
            return
        self._flush()
        if scope.name == "hr" or (scope.separates_scenes and len(self._blocks) == scope.blocks_before):
            self._emit(Block("scene_break", "", Place(self._file, scope.path), 0, self._ids(), scope.roles))

    def _add(self, text: str, scope: Scope) -> None:
        if (self._open is None or self._ended) and not text.strip(_WHITE):
            return
        if len(text) > _LONGEST_TEXT:
            file = self._file or "the manuscript"
            raise UsageError(f"{file}: a paragraph has more than {_LONGEST_TEXT:,} characters; divide it")
        self._opened(scope).add(text)

    def _opened(self, scope: Scope) -> BlockText:
        """The open block, or another one for the text of a scope."""
        if self._open is not None and not self._ended:
            return self._open
        self._flush()
        owner = scope.owner
        text = BlockText(owner.kind, owner.level, Place(self._file, owner.path), owner.roles)
        text.separates_scenes, text.is_captioned = owner.separates_scenes, bool(owner.is_captioned)
        text.is_initial = owner.is_initial
        initial = self._initial
        if initial is not None and text.kind == "paragraph" and not text.is_initial:
            text.add(initial.text)
            text.ids.extend(initial.ids)
            text.omitted.update(initial.omitted)
            self._initial = None
        else:
            self._emit_initial()
        if text.ids:
            text.ids.extend(self._waiting)
        else:
            text.ids = self._waiting
        self._waiting = []
        self._open, self._owner = text, owner
        return text

    def _flush(self) -> None:
        text, self._open, self._ended = self._open, None, False
        if text is None:
            return
        block = text.finished()
        if block is None:
            text.ids.extend(self._waiting)  # this way round, many blocks of white space take no longer each time
            self._waiting = text.ids
        elif text.is_initial and block.kind == "paragraph" and len(block.text) <= 2 and block.text[-1:].isalpha():
            self._initial = block
        else:
            self._emit(block)

    def _emit_initial(self) -> None:
        if self._initial is not None:
            initial, self._initial = self._initial, None
            self._emit(initial)

    def _emit(self, block: Block) -> None:
        self._blocks.append(block)
        if len(self._blocks) > _MOST_BLOCKS:
            raise UsageError(f"{self._file or 'the manuscript'}: the file has more than {_MOST_BLOCKS:,} paragraphs")

    def _ids(self) -> tuple[str, ...]:
        ids, self._waiting = tuple(self._waiting), []
        return ids

    def _note_ids(self, element: etree._Element) -> None:
        found = element.get("id") or element.get("{http://www.w3.org/XML/1998/namespace}id")
        names = [found, element.get("name") if elements.name_of(element) == "a" else None]
        to = self._waiting if self._open is None or self._ended else self._open.ids
        to.extend(name for name in names if name)

    def _is_left_out(
        self, element: etree._Element, name: str, roles: frozenset[str], is_block: bool, parent: Scope
    ) -> bool:
        """Leave an element out of the text if it is not to be read, and count it."""
        reason = reason_of(element, name, roles, is_block=is_block)
        if reason is None or (reason in self._keep and reason not in _SAID_BY_ATTRIBUTES):
            return False
        if is_block and parent.merges is None:
            self._flush()
        leave_out(element, reason, lambda: self._opened(parent), is_kept=reason in self._keep)
        for part in element.iter():
            if len(part.attrib):
                self._note_ids(part)
        if is_block and parent.merges is None:
            self._flush()
        return True


def _cells(row: Scope) -> int:
    return row.children.get("td", 0) + row.children.get("th", 0)
