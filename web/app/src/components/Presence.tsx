import { For, Show, type JSX } from "solid-js";

import type { Participant, Person } from "#ui/protocol.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";

/** Who has this session open; dimmed who looks elsewhere. */
export function Presence(props: { participants: readonly Participant[] }): JSX.Element {
  const sorted = () => [...props.participants].sort((a, b) => Number(b.active) - Number(a.active));
  return (
    <ul class="presence" aria-label="Here now">
      <For each={sorted().slice(0, 5)}>
        {(participant) => (
          <li>
            <Avatar person={participant.person} size="small" dimmed={!participant.active} />
            <span class="unseen">
              {displayName(participant.person)}
              {participant.active ? "" : " (away)"}
            </span>
          </li>
        )}
      </For>
      <Show when={sorted().length > 5}>
        <li class="quiet">+{sorted().length - 5}</li>
      </Show>
    </ul>
  );
}

export function Typing(props: { people: readonly Person[] }): JSX.Element {
  const words = () => {
    const names = props.people.map(displayName);
    if (names.length > 2) return `${names.length} people are typing…`;
    return `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} typing…`;
  };
  return (
    <p class="typing quiet" aria-live="off">
      <Show when={props.people.length > 0}>{words()}</Show>
    </p>
  );
}
