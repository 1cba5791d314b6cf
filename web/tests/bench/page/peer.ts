/** The other way: all of the text through `react-markdown` whenever it has grown. */
import { createElement, useState } from "react";
import { createRoot } from "react-dom/client";
import { flushSync } from "react-dom";
import Markdown from "react-markdown";
import rehypeHighlight from "rehype-highlight";
import remarkGfm from "remark-gfm";

import "../../../app/src/styles/index.css";

import type { Measured } from "./text.ts";

let show: (text: string) => void = () => undefined;

function Answer() {
  const [text, setText] = useState("");
  show = setText;
  const markdown = createElement(Markdown, { remarkPlugins: [remarkGfm], rehypePlugins: [rehypeHighlight], children: text });
  return createElement("div", { className: "timeline" }, createElement("div", { className: "answer prose" }, markdown));
}

const root = document.getElementById("app");
if (root) flushSync(() => createRoot(root).render(createElement(Answer)));

let all = "";
const render = () => {
  flushSync(() => show(all));
  return document.querySelector(".timeline")?.scrollHeight;
};

const measured: Measured = {
  async hold(text) {
    all += text;
    render();
    await new Promise(requestAnimationFrame);
  },
  add: (piece) =>
    new Promise((done) => {
      all += piece;
      requestAnimationFrame(() => {
        render();
        done();
      });
    }),
  shown: () => document.querySelector(".answer")?.textContent?.length ?? 0,
};

Object.assign(window, { measured });
