import type { Person, RepositorySummary } from "../ui/src/protocol.ts";

function person(id: number, login: string, name: string): Person {
  return { id, login, name, avatar: `/avatars/${login}.svg` };
}

export const ADA = person(1, "ada", "Ada Lindqvist");
export const BO = person(2, "bo", "Bo Andersen");
export const CHIKA = person(3, "chika", "Chika Obi");

/** A picture for everybody, in a colour of their own. */
export function avatar(login: string): string {
  const hue = [...login].reduce((sum, character) => sum + character.charCodeAt(0) * 47, 0) % 360;
  const letter = login.charAt(0).toUpperCase();
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" fill="hsl(${hue} 45% 45%)"/><text x="16" y="21.5" font-family="sans-serif" font-size="16" text-anchor="middle" fill="#fff">${letter}</text></svg>`;
}

const MINUTE = 60_000;

export const REPOSITORIES: RepositorySummary[] = [
  {
    repository: "acme/semver-lite",
    default_branch: "main",
    private: false,
    may_write: true,
    image: { state: "ready", built_at: Date.now() - 12 * MINUTE },
  },
  {
    repository: "acme/storefront",
    default_branch: "main",
    private: true,
    may_write: true,
    image: { state: "building", built_at: Date.now() - 41 * MINUTE },
  },
  {
    repository: "acme/payments",
    default_branch: "trunk",
    private: true,
    may_write: true,
    image: { state: "failed", built_at: Date.now() - 300 * MINUTE },
  },
  { repository: "acme/design-system", default_branch: "main", private: false, may_write: false },
];
