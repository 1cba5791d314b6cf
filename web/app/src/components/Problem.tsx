import { Show, type JSX } from "solid-js";

import { Icon } from "#ui/view/Icon.tsx";

/** What went wrong in place of what should be here, and a way on. */
export function Problem(props: { message: string; retry?: () => void }): JSX.Element {
  return (
    <div class="problem" role="alert">
      <Icon name="warning" />
      <p>{props.message}</p>
      <Show when={props.retry}>
        {(retry) => (
          <button class="button" onClick={() => retry()()}>
            Try again
          </button>
        )}
      </Show>
    </div>
  );
}
