/** One changed file: its name, and behind it its hunks, of which only those nearby are laid out. */
import { For, Match, Show, Switch, createMemo, createSignal, type JSX } from "solid-js";

import { parseHunks, sideBySide, type Hunk, type Line, type Pair } from "#ui/diff.ts";
import type { ChangedFile } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";
import { Windowed } from "#ui/view/Windowed.tsx";

export type Layout = "unified" | "split";

/** Longer ones are opened by whoever wants to read them. */
const OPEN_LINES = 500;
/** Lines in one box, and how high one is. */
const BOX = 120;
const LINE_PX = 20;

type Comment = (line: Line, words: string) => boolean;

export function FileDiff(props: {
  file: ChangedFile;
  layout: Layout;
  letter: string;
  word: string;
  /** Absent where nothing can be asked any more. */
  comment?: Comment;
}): JSX.Element {
  const size = () => (props.file.additions ?? 0) + (props.file.deletions ?? 0);
  const [open, setOpen] = createSignal(size() <= OPEN_LINES);
  const text = () => (props.file.patch.kind === "text" ? props.file.patch.hunks : undefined);
  return (
    <Windowed estimate={open() ? 44 + size() * LINE_PX : 44} eager={false}>
      <details class="file-diff" open={open()} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <Icon name="chevron" class="turns" />
          <span class={`change-letter ${props.file.change}`} aria-label={props.word}>
            {props.letter}
          </span>
          <span class="path" title={props.file.path}>
            <bdi>
              <Show when={props.file.previous}>
                {(previous) => (
                  <>
                    <span class="quiet">{previous()} → </span>
                  </>
                )}
              </Show>
              {props.file.path}
            </bdi>
          </span>
          <Counts file={props.file} />
        </summary>
        <Show when={open()}>
          <Switch>
            <Match when={props.file.patch.kind === "binary"}>
              <p class="file-note">A binary file: it cannot be shown line by line.</p>
            </Match>
            <Match when={props.file.patch.kind === "too_large"}>
              <p class="file-note">Too much has changed to be shown here. The pull request has all of it.</p>
            </Match>
            <Match when={text() === ""}>
              <p class="file-note">Only its {props.file.previous === undefined ? "mode" : "name"} has changed.</p>
            </Match>
            <Match when={text()}>
              {(hunks) => <Hunks path={props.file.path} hunks={hunks()} layout={props.layout} comment={props.comment} />}
            </Match>
          </Switch>
        </Show>
      </details>
    </Windowed>
  );
}

/** A hunk's head or a row of it. */
type Row = { readonly hunk: Hunk } | Pair;

function Hunks(props: { path: string; hunks: string; layout: Layout; comment: Comment | undefined }): JSX.Element {
  const hunks = createMemo(() => parseHunks(props.hunks));
  const rows = createMemo(() =>
    hunks().flatMap((hunk): Row[] => [
      { hunk },
      ...(props.layout === "split"
        ? sideBySide(hunk.lines)
        : hunk.lines.map((line) => ({ left: line.kind === "added" ? undefined : line, right: line.kind === "removed" ? undefined : line }))),
    ]),
  );
  const boxes = createMemo(() => Array.from({ length: Math.ceil(rows().length / BOX) }, (_, index) => index));
  let root!: HTMLDivElement;
  // One stop for the tab key, arrows from line to line.
  const keyDown = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = event.target;
    if (by === undefined || !(at instanceof HTMLElement) || !at.classList.contains("line-number")) return;
    const all = [...root.querySelectorAll<HTMLElement>("button.line-number")];
    const next = all[all.indexOf(at) + by];
    if (!next) return;
    event.preventDefault();
    at.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };
  const [commented, setCommented] = createSignal<Line | undefined>();
  const first = createMemo(() => hunks()[0]?.lines[0]);
  return (
    <div class="hunks" ref={root} classList={{ split: props.layout === "split" }} onKeyDown={keyDown}>
      <For each={boxes()}>
        {(box) => {
          const mine = createMemo(() => rows().slice(box * BOX, (box + 1) * BOX));
          return (
            <Windowed estimate={mine().length * LINE_PX} eager={box === 0}>
              <table class="lines">
                <colgroup>
                  <col class="numbers" />
                  <Show when={props.layout === "split"} fallback={<col class="numbers" />}>
                    <col />
                    <col class="numbers" />
                  </Show>
                  <col />
                </colgroup>
                <tbody>
                  <For each={mine()}>
                    {(row) =>
                      "hunk" in row ? (
                        <tr class="hunk-head">
                          <td colspan={props.layout === "split" ? 4 : 3}>
                            Line {row.hunk.newStart || row.hunk.oldStart}
                            <Show when={row.hunk.section}> · {row.hunk.section}</Show>
                          </td>
                        </tr>
                      ) : (
                        <RowView
                          row={row}
                          layout={props.layout}
                          first={first()}
                          commented={commented()}
                          onComment={props.comment && setCommented}
                          submit={(line, words) => {
                            if (!props.comment?.(line, words)) return;
                            setCommented(undefined);
                          }}
                        />
                      )
                    }
                  </For>
                </tbody>
              </table>
            </Windowed>
          );
        }}
      </For>
    </div>
  );
}

interface RowProps {
  row: Pair;
  layout: Layout;
  /** The one that the tab key reaches. */
  first: Line | undefined;
  commented: Line | undefined;
  onComment: ((line: Line | undefined) => void) | undefined;
  submit: (line: Line, words: string) => void;
}

function RowView(props: RowProps): JSX.Element {
  const line = () => props.row.right ?? props.row.left;
  const number = (of: Line | undefined, side: "old" | "new") => (
    <Numbered line={of} number={of?.[side]} first={of !== undefined && of === props.first} onComment={props.onComment} />
  );
  const words = (of: Line | undefined) => (
    <td class={`code ${of ? of.kind : "nothing"}`}>
      {of?.text ?? ""}
      <Show when={of?.unended}>
        <span class="quiet unended" title="No line break at the end of the file">
          ⏎̸
        </span>
      </Show>
    </td>
  );
  const commented = () => {
    const { commented, row } = props;
    return commented !== undefined && (commented === row.left || commented === row.right) ? commented : undefined;
  };
  return (
    <>
      <Show
        when={props.layout === "split"}
        fallback={
          <tr class={line()?.kind}>
            {line()?.kind === "removed" ? number(line(), "old") : <td class="number">{props.row.left?.old ?? ""}</td>}
            {line()?.kind === "removed" ? <td class="number" /> : number(line(), "new")}
            {words(line())}
          </tr>
        }
      >
        <tr>
          {props.row.left?.kind === "context" ? <td class="number">{props.row.left.old}</td> : number(props.row.left, "old")}
          {words(props.row.left)}
          {number(props.row.right, "new")}
          {words(props.row.right)}
        </tr>
      </Show>
      <Show when={commented()}>
        {(on) => (
          <tr class="line-comment">
            <td colspan={props.layout === "split" ? 4 : 3}>
              <CommentForm line={on()} submit={(text) => props.submit(on(), text)} cancel={() => props.onComment?.(undefined)} />
            </td>
          </tr>
        )}
      </Show>
    </>
  );
}

function Numbered(props: {
  line: Line | undefined;
  number: number | undefined;
  first: boolean;
  onComment: ((line: Line) => void) | undefined;
}): JSX.Element {
  const plain = () => props.line === undefined || props.onComment === undefined;
  return (
    <td class={`number ${props.line?.kind ?? "nothing"}`}>
      <Show when={!plain()} fallback={props.number ?? ""}>
        <button
          class="line-number"
          tabindex={props.first ? 0 : -1}
          aria-label={`Comment on line ${props.number}${props.line?.kind === "context" ? "" : `, ${props.line?.kind}`}`}
          title="Comment: it goes to the agent as a prompt"
          onClick={() => props.line && props.onComment?.(props.line)}
        >
          {props.number}
        </button>
      </Show>
    </td>
  );
}

function CommentForm(props: { line: Line; submit: (words: string) => void; cancel: () => void }): JSX.Element {
  const [words, setWords] = createSignal("");
  const place = () => props.line.new ?? props.line.old;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        props.submit(words());
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.preventDefault();
          event.stopPropagation();
          props.cancel();
        } else if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) {
          event.preventDefault();
          props.submit(words());
        }
      }}
    >
      <textarea
        aria-label={`Comment on line ${place()}`}
        dir="auto"
        placeholder="What should the agent do about this line?"
        rows={2}
        value={words()}
        ref={(field) => queueMicrotask(() => field.focus())}
        onInput={(event) => setWords(event.currentTarget.value)}
      />
      <div class="comment-foot">
        <button class="button" type="button" onClick={() => props.cancel()}>
          Cancel
        </button>
        <button class="button primary" type="submit">
          Send as prompt
        </button>
      </div>
    </form>
  );
}

export function Counts(props: { file: ChangedFile }): JSX.Element {
  return (
    <span class="count">
      <Show when={props.file.additions !== undefined} fallback={<span class="quiet">binary</span>}>
        <span class="added">+{props.file.additions?.toLocaleString("en")}</span>{" "}
        <span class="removed">−{(props.file.deletions ?? 0).toLocaleString("en")}</span>
      </Show>
    </span>
  );
}
