/** Months of work in one session: as many events as are wanted, in turns like those of real ones. */
import { ADA, BO, CHIKA } from "./people.ts";
import type { PlayedSession } from "./played-session.ts";

const PEOPLE = [ADA, BO, CHIKA];
const FILES = ["src/version.rs", "src/parse.rs", "src/range.rs", "tests/precedence.rs", "README.md"];

/** One turn after another until the log has `events` entries at least. Gives how many turns. */
export function longSession(session: PlayedSession, events: number): number {
  let turn = 0;
  while (session.log.length < events) {
    turn += 1;
    playTurn(session, turn, 6 + ((turn * 7) % 60));
  }
  return turn;
}

/** One turn that calls `tools` tools and says `Answer <turn>` at its end. */
export function playTurn(session: PlayedSession, turn: number, tools: number): void {
  session.tick(60_000);
  session.prompt(PEOPLE[turn % PEOPLE.length] ?? ADA, `Ask ${turn}: what does ${FILES[turn % FILES.length]} do, and is it right?`);
  callTools(session, turn, tools);
  say(session, answer(turn));
  session.endPrompt();
}

export function callTools(session: PlayedSession, turn: number, tools: number): void {
  for (let call = 0; call < tools; call += 1) {
    session.tick(700);
    const file = FILES[(turn + call) % FILES.length] ?? "";
    const input = JSON.stringify({ filePath: `/workspace/${file}` });
    const part = session.part({ kind: "tool", tool: "read", title: `read ${file}`, input });
    session.grow(part, `pub fn call_${turn}_${call}() {}\n`.repeat(5));
    session.endPart(part);
    if (call % 5 === 4) say(session, `Step ${call} of turn ${turn}: \`${file}\` is as it should be.`);
  }
}

function say(session: PlayedSession, words: string): void {
  const part = session.part({ kind: "text" });
  session.grow(part, words);
  session.endPart(part);
}

function answer(turn: number): string {
  const reasons = Array.from({ length: 2 + (turn % 6) }, (_, index) => `- Reason ${index + 1}: it was *read* and \`tested\`.`);
  return `**Answer ${turn}**: it is right.\n\n${reasons.join("\n")}\n\nNothing else has to change.`;
}
