/** The tree of what was changed, and each file behind it. Both stay as somebody left them when newer changes come. */
import { Show, createMemo, type JSX } from "solid-js";

import { fileTree, type Folder, type Line } from "#ui/diff.ts";
import type { Change, ChangedFile, Changes } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";
import { Keyed } from "#ui/view/Keyed.tsx";

import { Counts, FileDiff, type Layout } from "./FileDiff.tsx";

const LETTERS: Readonly<Record<Change, string>> = { added: "A", modified: "M", deleted: "D", renamed: "R" };
const WORDS: Readonly<Record<Change, string>> = { added: "added", modified: "changed", deleted: "deleted", renamed: "renamed" };

export function ChangedFiles(props: {
  changes: Changes;
  layout: Layout;
  archived: boolean;
  comment: (file: ChangedFile, line: Line, words: string) => boolean;
}): JSX.Element {
  let list!: HTMLDivElement;
  const tree = createMemo(() => fileTree(props.changes.files));
  const sum = (of: "additions" | "deletions") => props.changes.files.reduce((total, file) => total + (file[of] ?? 0), 0);
  const count = () => props.changes.files.length + props.changes.omitted;
  const go = (path: string) => {
    const at = props.changes.files.findIndex((file) => file.path === path);
    const box = list.children[at];
    box?.scrollIntoView({ block: "start" });
    // Far away it is an empty box, which is filled when it has come near.
    const arrive = (tries: number) => {
      const details = box?.querySelector("details");
      if (!details && tries > 0) return void requestAnimationFrame(() => arrive(tries - 1));
      if (!details) return;
      details.open = true;
      details.scrollIntoView({ block: "start" });
      details.querySelector("summary")?.focus({ preventScroll: true });
    };
    arrive(30);
  };
  return (
    <>
      <details class="file-tree" open>
        <summary>
          <Icon name="chevron" class="turns" />
          <strong>{count() === 1 ? "1 file" : `${count().toLocaleString("en")} files`}</strong>
          <span class="count">
            <span class="added">+{sum("additions").toLocaleString("en")}</span>{" "}
            <span class="removed">−{sum("deletions").toLocaleString("en")}</span>
          </span>
        </summary>
        <nav aria-label="Changed files">
          <FolderView folder={tree()} go={go} />
        </nav>
        <Show when={props.changes.omitted > 0}>
          <p class="quiet tree-note">{props.changes.omitted.toLocaleString("en")} more files are not listed.</p>
        </Show>
      </details>
      <div class="file-diffs" ref={list}>
        <Keyed each={props.changes.files} by={({ path }) => path} same={isSame}>
          {(file) => (
            <FileDiff
              file={file()}
              layout={props.layout}
              letter={LETTERS[file().change] ?? "M"}
              word={WORDS[file().change] ?? "changed"}
              {...(!props.archived && { comment: (line: Line, words: string) => props.comment(file(), line, words) })}
            />
          )}
        </Keyed>
      </div>
    </>
  );
}

/** What is read of them; most files stay as they are while the agent writes on. */
function isSame(one: ChangedFile, other: ChangedFile): boolean {
  const hunks = ({ patch }: ChangedFile) => (patch.kind === "text" ? patch.hunks : undefined);
  return (
    one.change === other.change &&
    one.previous === other.previous &&
    one.additions === other.additions &&
    one.deletions === other.deletions &&
    one.patch.kind === other.patch.kind &&
    hunks(one) === hunks(other)
  );
}

function FolderView(props: { folder: Folder; go: (path: string) => void }): JSX.Element {
  return (
    <ul>
      <Keyed each={props.folder.folders} by={({ name }) => name}>
        {(folder) => (
          <li>
            <details open>
              <summary class="tree-folder">
                <Icon name="chevron" class="turns" />
                <bdi>{folder().name}</bdi>
              </summary>
              <FolderView folder={folder()} go={props.go} />
            </details>
          </li>
        )}
      </Keyed>
      <Keyed each={props.folder.files} by={({ name }) => name}>
        {(leaf) => (
          <li>
            <button class="tree-file" title={leaf().file.path} onClick={() => props.go(leaf().file.path)}>
              <span class={`change-letter ${leaf().file.change}`} aria-label={WORDS[leaf().file.change] ?? "changed"}>
                {LETTERS[leaf().file.change] ?? "M"}
              </span>
              <bdi class="tree-name">{leaf().name}</bdi>
              <Counts file={leaf().file} />
            </button>
          </li>
        )}
      </Keyed>
    </ul>
  );
}
