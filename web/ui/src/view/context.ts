/** What rows of a session need to know of where they are shown. */
import { createContext, useContext } from "solid-js";

import type { ArtifactId, PromptId, SessionId } from "../protocol.ts";

export interface Surroundings {
  /** Where a file of the session is read. */
  file(artifact: ArtifactId): string;
  /** Where another session is. */
  session(id: SessionId): string;
  /** Goes on from the end of a prompt in a session of its own. */
  fork?(prompt: PromptId): void;
}

const NOWHERE: Surroundings = { file: () => "", session: () => "" };

export const SurroundingsContext = createContext<Surroundings>(NOWHERE);

export function useSurroundings(): Surroundings {
  return useContext(SurroundingsContext);
}
