/** A person's picture, or the first letter of the name where there is none. */
import { Show, createSignal, type JSX } from "solid-js";

import type { Person } from "../protocol.ts";

/** What the Content-Security-Policy lets a page show. */
const SHOWABLE = /^(?:https:\/\/|http:\/\/127\.0\.0\.1[:/]|\/(?!\/))/;

export function Avatar(props: { person: Person; size?: "small" | "large"; dimmed?: boolean }): JSX.Element {
  const [broken, setBroken] = createSignal(false);
  const picture = () => !broken() && SHOWABLE.test(props.person.avatar);
  return (
    <span
      class="avatar"
      classList={{ [props.size ?? "medium"]: true, dimmed: props.dimmed ?? false }}
      title={displayName(props.person)}
    >
      <Show when={picture()} fallback={<span aria-hidden="true">{initial(props.person)}</span>}>
        <img src={props.person.avatar} alt="" loading="lazy" onError={() => setBroken(true)} />
      </Show>
    </span>
  );
}

export function displayName(person: Person): string {
  return person.name || person.login;
}

function initial(person: Person): string {
  return [...displayName(person)][0]?.toUpperCase() ?? "?";
}
