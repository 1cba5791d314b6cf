/** The timeline of the client, fed as its socket feeds it. */
import { render } from "solid-js/web";

import "../../../app/src/styles/index.css";

import type { Fact, ServerFrame } from "#ui/protocol.ts";
import { SessionStore } from "#ui/store.ts";
import { TimelineView } from "#ui/view/TimelineView.tsx";

import type { Measured } from "./text.ts";

const me = { id: 1, login: "ada", name: "Ada", avatar: "" };
const facts: Fact[] = [
  { type: "session_created", repository: "acme/shop", branch: "main", by: me },
  { type: "prompt_queued", prompt: { id: "pmt_1", author: me, text: "Explain all of it", source: "web", mode: "queue" } },
  { type: "prompt_started", prompt: "pmt_1" },
  { type: "part_started", part: 1, prompt: "pmt_1", body: { kind: "text" } },
];
const store = new SessionStore(me, { typing: () => undefined, complaint: () => undefined });
const receive = (frame: ServerFrame) => {
  if (store.receive(frame) !== "ok") throw new Error(`refused: ${frame.type}`);
};
receive({
  type: "welcome",
  session: {
    id: "ses_1",
    repository: "acme/shop",
    branch: "main",
    title: "",
    state: "working",
    created_by: me,
    created_at: 1,
    updated_at: 1,
    pull_requests: [],
    paused: false,
  },
  participants: [],
  queue: [],
  head_seq: facts.length,
});
receive({ type: "events", events: facts.map((fact, index) => ({ seq: index + 1, at: Date.now(), ...fact })) });

const root = document.getElementById("app");
if (root) render(() => <TimelineView timeline={store.timeline()} empty={null} />, root);

let offset = 0;
const grow = (text: string) => {
  receive({ type: "delta", part: 1, offset, text });
  offset += text.length;
};
const layOut = () => document.querySelector(".timeline")?.scrollHeight;

const measured: Measured = {
  async hold(text) {
    grow(text);
    await frame();
    await frame();
  },
  add: (piece) =>
    new Promise((done) => {
      // Between two frames, as a message arrives; then its frame, up to the finished layout.
      setTimeout(() => {
        grow(piece);
        requestAnimationFrame(() => {
          layOut();
          done();
        });
      });
    }),
  shown: () => document.querySelector(".answer")?.textContent?.length ?? 0,
};

function frame(): Promise<number> {
  return new Promise(requestAnimationFrame);
}

Object.assign(window, { measured });
