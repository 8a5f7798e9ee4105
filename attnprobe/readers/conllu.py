"""Reads CoNLL-U: a treebank sentence by sentence, or document by document with mentions of entities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attnprobe.errors import UsageError
from attnprobe.readers.lines import MAX_LINE
from attnprobe.readers.mentions import Mentions
from attnprobe.readers.source import Source
from attnprobe.readers.treebank import FaultError, Sentence, sentences
from attnprobe.values.records import Columns, Record, Skipped

OF_SENTENCES = ("relations", "upos", "feats", "ranges", "document")
OF_DOCUMENTS = ("sentences", "mentions", "upos", "feats", "lemmas", "heads")


def read_conllu(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the sentences of a CoNLL-U file: syntactic words, without ranges and empty nodes.

    The id is ``sent_id``. Labels: ``relations``, without that of the root; ``upos``, ``feats``, ``ranges`` and
    ``document``, as far as the file has them.

    Raises:
        InputError: the source cannot be read to its end.
        UsageError: a column is asked for.
    """
    _check_columns(source, columns, OF_SENTENCES)
    document = ""
    for sentence in sentences(source, encoding):
        if sentence.begins_document:
            document = sentence.comments.get("newdoc id", "")
        if sentence.fault:
            yield _skipped(sentence.fault, source, sentence.id)
        else:
            words = [word.form for word in sentence.words]
            labels = _labels(sentence) | ({"document": document} if document else {})
            yield Record(sentence.id, sentence.text, None, source.name, sentence.line, words, labels=labels)


def read_documents(source: Source, columns: Columns, encoding: str) -> Iterator[Record | Skipped]:
    """Reads the documents of a CoNLL-U file, each begun by ``# newdoc``; without any, the file is one.

    The id is that of ``newdoc``. Labels: ``sentences``, the number of each sentence's first word; ``mentions`` if any,
    [start, end, entity] as ``Entity`` in MISC says, of one in parts each start and end; ``upos``, ``feats``,
    ``lemmas``, and ``heads``, the number of each word's head in the document, -1 for a root. Never more than MAX_LINE
    characters of a document are held in memory.

    Raises:
        InputError: the source cannot be read to its end.
        UsageError: a column is asked for.
    """
    _check_columns(source, columns, OF_DOCUMENTS)
    document: _Document | None = None
    fields = ""
    for sentence in sentences(source, encoding):
        fields = sentence.comments.get("global.Entity", fields)
        if document and sentence.begins_document:
            yield document.record(source)
            document = None
        document = document or _Document(sentence, fields)
        document.add(sentence)
    if document:
        yield document.record(source)


def _check_columns(source: Source, columns: Columns, known: tuple[str, ...]) -> None:
    unknown = [name for name in columns.names if name not in known]
    if unknown:
        raise UsageError(f"{source.name} is read as CoNLL-U, which has no column {unknown[0]!r}", "leave the flag out")


def _skipped(fault: FaultError, source: Source, id: str) -> Skipped:
    return Skipped(source.name, fault.line, str(fault), id)


def _labels(sentence: Sentence) -> dict[str, Any]:
    words = sentence.words
    labels: dict[str, Any] = {"feats": [word.feats for word in words]}
    if any(word.upos != "_" for word in words):
        labels["upos"] = [word.upos for word in words]
    if sentence.ranges:
        labels["ranges"] = [[each.first, each.after, each.form] for each in sentence.ranges]
    if sentence.has_tree:
        heads = [(number, word.head, word.relation) for number, word in enumerate(words)]
        labels["relations"] = [[number, head, relation] for number, head, relation in heads if head != -1]
    return labels


class _Document:
    """One document, to which sentence after sentence is added."""

    def __init__(self, first: Sentence, fields: str) -> None:
        self.line = first.line
        self.id = first.comments.get("newdoc id") or str(first.line)
        self.fault: FaultError | None = None
        self.mentions = Mentions(fields)
        self.words: list[str] = []
        self.texts: list[str] = []
        self.labels: dict[str, list[Any]] = {name: [] for name in OF_DOCUMENTS}
        self.size = 0

    def add(self, sentence: Sentence) -> None:
        """Adds a sentence; of a document with a fault nothing is kept."""
        self.size += len(sentence.text)
        too_long = FaultError(self.line, f"longer than {MAX_LINE:,} characters") if self.size > MAX_LINE else None
        self.fault = self.fault or sentence.fault or too_long
        if not self.fault:
            try:
                self._add(sentence)
            except FaultError as fault:
                self.fault = fault
        if self.fault:
            self.words, self.texts, self.labels = [], [], {}

    def _add(self, sentence: Sentence) -> None:
        before = len(self.words)
        for brackets in sentence.entities:
            self.mentions.add(brackets, before)
        self.texts.append(sentence.text)
        self.labels["sentences"].append(before)
        for word in sentence.words:
            self.words.append(word.form)
            self.labels["upos"].append(word.upos)
            self.labels["feats"].append(word.feats)
            self.labels["lemmas"].append(word.lemma)
            self.labels["heads"].append(-1 if word.head in (None, -1) else before + word.head)

    def record(self, source: Source) -> Record | Skipped:
        """Makes the record, or the reason to skip it."""
        try:
            if self.fault:
                raise self.fault
            mentions = self.mentions.found()
            labels = self.labels | ({"mentions": mentions} if mentions else {})
        except FaultError as fault:
            return _skipped(fault, source, self.id)
        return Record(self.id, " ".join(self.texts), None, source.name, self.line, self.words, labels=labels)
