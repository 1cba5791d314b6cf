/** How ready a repository is, in words. */
import type { ImageAge } from "#ui/protocol.ts";
import { age } from "#ui/view/duration.ts";

export function imageWords(image: ImageAge | undefined, now: number): string {
  if (image?.built_at === undefined) {
    if (image?.state === "building" || image?.state === "requested") return "first image is building";
    return image?.state === "failed" ? "image failed" : "no image yet";
  }
  const built = age(image.built_at, now);
  const words = built === "now" ? "built just now" : /\d (min|h|d)$/.test(built) ? `built ${built} ago` : `built ${built}`;
  if (image.state === "building" || image.state === "requested") return `${words}, rebuilding`;
  return image.state === "failed" ? `${words}, last build failed` : words;
}
