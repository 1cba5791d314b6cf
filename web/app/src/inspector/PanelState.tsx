/** What a panel shows in place of its content. */
import { Show, type JSX, type ParentProps } from "solid-js";

import { Icon, Spinner, type IconName } from "#ui/view/Icon.tsx";

export function PanelLoading(props: { words: string }): JSX.Element {
  return (
    <p class="panel-state" role="status">
      <Spinner /> {props.words}
    </p>
  );
}

export function PanelEmpty(props: ParentProps<{ icon: IconName; title: string }>): JSX.Element {
  return (
    <div class="panel-state empty-panel">
      <Icon name={props.icon} />
      <strong>{props.title}</strong>
      <Show when={props.children}>
        <p class="quiet">{props.children}</p>
      </Show>
    </div>
  );
}

export function PanelFailed(props: { message: string; retry: () => void }): JSX.Element {
  return (
    <div class="panel-state empty-panel" role="alert">
      <Icon name="warning" class="bad" />
      <p>{props.message}</p>
      <button class="button" onClick={() => props.retry()}>
        Try again
      </button>
    </div>
  );
}
