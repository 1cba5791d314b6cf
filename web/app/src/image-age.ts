/** How ready a repository is, in words. */
import type { ImageAge } from "#ui/protocol.ts";
import { ago } from "#ui/view/duration.ts";

export function imageWords(image: ImageAge | undefined, now: number): string {
  if (image?.built_at === undefined) {
    if (image?.state === "building" || image?.state === "requested") return "first image is building";
    return image?.state === "failed" ? "image failed" : "no image yet";
  }
  const words = `built ${ago(image.built_at, now)}`;
  if (image.state === "building" || image.state === "requested") return `${words}, rebuilding`;
  return image.state === "failed" ? `${words}, last build failed` : words;
}

/** The same where nothing around it says that it is about the image. */
export function imageSentence(image: ImageAge | undefined, now: number): string {
  const words = imageWords(image, now);
  return image?.built_at === undefined ? words.charAt(0).toUpperCase() + words.slice(1) : `Image ${words}`;
}
