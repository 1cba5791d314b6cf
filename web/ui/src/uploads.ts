/**
 * Files on their way to become attachments: checked at once, sent side by side, each with its progress
 * and with an end. What the server does not take says why, and can be taken away or tried again.
 */
import { createSignal, type Accessor } from "solid-js";

import { requestId } from "./outbox.ts";
import type { Artifact } from "./protocol.ts";

/** `api::MAX_ARTIFACT` and `api::MAX_ATTACHMENTS`. */
const MAX_BYTES = 10 * 1024 * 1024;
const MAX_FILES = 20;

/** What browsers show in place (`api::PICTURES`). */
const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

export const isPicture = (mediaType: string): boolean => PICTURES.includes(mediaType);

export type UploadState =
  /** From 0 to 1. */
  | { readonly phase: "sending"; readonly progress: number }
  | { readonly phase: "done"; readonly artifact: Artifact }
  | { readonly phase: "failed"; readonly message: string; readonly again: boolean };

export interface Upload {
  readonly id: string;
  readonly file: File;
  /** Address of a picture, while this is shown. */
  readonly preview: string | undefined;
  readonly state: UploadState;
}

export type Send = (file: File, progress: (done: number) => void, signal: AbortSignal) => Promise<Artifact>;

export class Uploads {
  readonly #items = createSignal<readonly Upload[]>([]);
  readonly #ending = new Map<string, AbortController>();
  readonly #send: Send;

  readonly items: Accessor<readonly Upload[]> = this.#items[0];

  constructor(send: Send) {
    this.#send = send;
  }

  add(files: Iterable<File>): void {
    for (const file of files) {
      const id = requestId();
      const wrong = this.#problem(file);
      const state: UploadState =
        wrong === undefined ? { phase: "sending", progress: 0 } : { phase: "failed", message: wrong, again: false };
      const preview = isPicture(file.type) && wrong === undefined ? URL.createObjectURL(file) : undefined;
      this.#items[1]((items) => [...items, { id, file, preview, state }]);
      if (wrong === undefined) void this.#start(id, file);
    }
  }

  /** Files that were uploaded before this page was loaded; `address` is where a picture is read. */
  restore(artifacts: readonly Artifact[], address: (artifact: Artifact) => string): void {
    const restored = artifacts.map((artifact): Upload => {
      const file = new File([], artifact.name, { type: artifact.media_type });
      const preview = isPicture(artifact.media_type) ? address(artifact) : undefined;
      return { id: requestId(), file, preview, state: { phase: "done", artifact } };
    });
    this.#items[1]((items) => [...restored, ...items]);
  }

  /** To another place than before. What this page does not hold itself has to be chosen again. */
  resend(): void {
    for (const { id, file, state } of this.items()) {
      if (state.phase === "failed" && !state.again) continue;
      this.#ending.get(id)?.abort();
      if (file.size === 0) {
        this.#to(id, { phase: "failed", message: "Choose this file again: it was for another repository.", again: false });
      } else {
        this.#to(id, { phase: "sending", progress: 0 });
        void this.#start(id, file);
      }
    }
  }

  retry(id: string): void {
    const item = this.items().find((other) => other.id === id);
    if (!item || item.state.phase !== "failed" || !item.state.again) return;
    this.#to(id, { phase: "sending", progress: 0 });
    void this.#start(id, item.file);
  }

  remove(id: string): void {
    this.#ending.get(id)?.abort();
    this.#ending.delete(id);
    const item = this.items().find((other) => other.id === id);
    if (item?.preview) URL.revokeObjectURL(item.preview);
    this.#items[1]((items) => items.filter((other) => other.id !== id));
  }

  clear(): void {
    for (const { id } of this.items()) this.remove(id);
  }

  /** What hinders a prompt from being sent with these, in words for its author. */
  problem(): string | undefined {
    if (this.items().some(({ state }) => state.phase === "sending")) return "Wait until the files have been uploaded.";
    if (this.items().some(({ state }) => state.phase === "failed")) return "A file could not be uploaded. Remove it or try again.";
    return undefined;
  }

  /** Those that are there. */
  artifacts(): Artifact[] {
    return this.items().flatMap(({ state }) => (state.phase === "done" ? [state.artifact] : []));
  }

  #problem(file: File): string | undefined {
    if (this.items().filter(({ state }) => state.phase !== "failed").length >= MAX_FILES) {
      return `A prompt has at most ${MAX_FILES} files.`;
    }
    if (file.size === 0) return "The file is empty.";
    if (file.size > MAX_BYTES) return `The file is too large: it may have at most ${bytes(MAX_BYTES)}.`;
    return undefined;
  }

  async #start(id: string, file: File): Promise<void> {
    const ending = new AbortController();
    this.#ending.set(id, ending);
    try {
      const progress = (done: number) => this.#to(id, { phase: "sending", progress: done });
      const artifact = await this.#send(file, progress, ending.signal);
      if (ending.signal.aborted) return;
      this.#to(id, { phase: "done", artifact });
    } catch (error) {
      if (ending.signal.aborted) return;
      const message = error instanceof Error ? error.message : "The file could not be uploaded.";
      this.#to(id, { phase: "failed", message, again: true });
    }
  }

  #to(id: string, state: UploadState): void {
    this.#items[1]((items) => items.map((item) => (item.id === id ? { ...item, state } : item)));
  }
}

/** Of what the server has, if it has it. */
export function sizeOf({ file, state }: Upload): number {
  return state.phase === "done" ? state.artifact.bytes : file.size;
}

/** "1.2 MB", for people. */
export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const kilo = count / 1024;
  return kilo < 1024 ? `${rounded(kilo)} KB` : `${rounded(kilo / 1024)} MB`;
}

function rounded(value: number): string {
  return value < 10 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}
