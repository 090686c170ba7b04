// The YAML editor. It is loaded when it is first needed. It lives in a shadow root, where CodeMirror may add its
// styles as sheets instead of as elements, which the page's policy forbids.
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching,
  foldGutter,
  foldKeymap,
  HighlightStyle,
  indentOnInput,
  syntaxHighlighting,
} from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "preact/hooks";
import type { Issue } from "../api/types";
import { clean } from "../model/text";
import { lineOfIssue } from "../model/yamlPath";

export interface EditorProps {
  /** Replaces the text whenever it is another object; what the reader types is only reported. A text that went
   * back and forth would lose letters, or never come to rest, when typing is faster than rendering. */
  start: { text: string };
  readOnly: boolean;
  onChange(text: string): void;
  issues: Issue[];
  goTo?: { line: number };
}

// Colours are the page's custom properties, which reach into the shadow root: light and dark need no code.
const look = EditorView.theme({
  "&": { height: "100%", fontSize: "13px", color: "var(--text)", backgroundColor: "var(--surface)" },
  ".cm-scroller": {
    fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace",
    lineHeight: "1.55",
  },
  ".cm-gutters": {
    backgroundColor: "var(--canvas)",
    color: "var(--muted)",
    borderRight: "1px solid var(--line)",
  },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-tooltip, .cm-panels": {
    backgroundColor: "var(--surface)",
    color: "var(--text)",
    border: "1px solid var(--line)",
  },
  ".cm-diagnostic-error": { borderLeftColor: "var(--failing)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--degraded)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--failing)" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--degraded)" },
  // The usual markers are pictures in data: URLs, which the policy forbids.
  ".cm-lint-marker": { width: "10px", height: "10px", borderRadius: "50%", marginTop: "5px" },
  ".cm-lint-marker-error": { content: "none", backgroundColor: "var(--failing)" },
  ".cm-lint-marker-warning": { content: "none", backgroundColor: "var(--degraded)", borderRadius: "2px" },
  ".cm-lint-marker-info": { content: "none", backgroundColor: "var(--idle)" },
});

const colors = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--healthy)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--degraded)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator], color: "var(--muted)" },
]);

export default function Editor({ start, readOnly, onChange, issues, goTo }: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorView | undefined>(undefined);
  const lock = useRef(new Compartment());
  const change = useRef(onChange);
  change.current = onChange;
  useEffect(() => {
    const root = host.current!.shadowRoot ?? host.current!.attachShadow({ mode: "open" });
    const state = EditorState.create({
      doc: start.text,
      extensions: [
        lineNumbers(),
        foldGutter(),
        lintGutter(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        search({ top: true }),
        yaml(),
        syntaxHighlighting(colors),
        look,
        keymap.of([...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, indentWithTab]),
        lock.current.of(locked(readOnly)),
        EditorView.contentAttributes.of({
          "aria-label": "YAML of the object. Escape, then Tab, leaves the editor.",
        }),
        EditorView.updateListener.of((u) => {
          if (u.docChanged) change.current(u.state.doc.toString());
        }),
      ],
    });
    const it = new EditorView({ state, root, parent: root as unknown as Element });
    editor.current = it;
    return () => {
      it.destroy();
      root.replaceChildren();
    };
  }, []);
  useEffect(() => {
    const it = editor.current;
    if (!it || it.state.doc.toString() === start.text) return;
    it.dispatch({ changes: { from: 0, to: it.state.doc.length, insert: start.text } });
  }, [start]);
  useEffect(() => {
    editor.current?.dispatch({ effects: lock.current.reconfigure(locked(readOnly)) });
  }, [readOnly]);
  useEffect(() => {
    const it = editor.current;
    if (it) it.dispatch(setDiagnostics(it.state, diagnostics(it, issues)));
  }, [issues]);
  useEffect(() => {
    const it = editor.current;
    if (!it || !goTo) return;
    const line = it.state.doc.line(Math.min(goTo.line, it.state.doc.lines));
    it.dispatch({
      selection: { anchor: line.from },
      effects: EditorView.scrollIntoView(line.from, { y: "center" }),
    });
    it.focus();
  }, [goTo]);
  return <div class="editor" ref={host} />;
}

function locked(readOnly: boolean) {
  return [EditorState.readOnly.of(readOnly), EditorView.editable.of(!readOnly)];
}

function diagnostics(it: EditorView, issues: Issue[]): Diagnostic[] {
  const { doc } = it.state;
  return issues.slice(0, 200).map((i) => {
    const line = doc.line(Math.min(doc.lines, lineOfIssue(doc.toString(), i)));
    const indent = /^\s*/.exec(line.text)![0].length;
    return {
      from: line.from + indent,
      to: Math.max(line.to, line.from + indent),
      severity: i.severity,
      message: `${clean(i.message, 400)} (${clean(i.code, 20)})`,
    };
  });
}
