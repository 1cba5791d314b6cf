/** What both ways render: text as agents write it, and how it arrives. */

/** On the page before anything is measured. */
export const HELD = 200 * 1024;
/** A few tokens, as they arrive between two frames. */
export const PIECE = 24;

const SECTION = (number: number) => `## Step ${number}: what \`parse_${number}\` does

The function reads **one identifier** at a time and stops at the first that is *not* allowed; see
[section ${number}](https://semver.org/#spec-item-${number}). Nothing before it is read twice, so its cost
is that of the text alone.

- It keeps what stands behind the plus, which says nothing about precedence.
- It refuses leading zeros in numbers, and empty identifiers.
- It tells where in the text it stopped.

\`\`\`rust
pub fn parse_${number}(text: &str) -> Result<Version, Error> {
    let (numbers, rest) = text.split_once('-').unwrap_or((text, ""));
    let pre = rest.split('.').map(Identifier::parse).collect::<Result<Vec<_>, _>>()?;
    Ok(Version { number: ${number}, numbers: parse_numbers(numbers)?, pre })
}
\`\`\`

| Identifiers | Compared |
| --- | --- |
| both numeric | as numbers |
| numeric and text | numeric is older |

> Precedence is defined on more than is written down.

`;

export function text(length: number): string {
  let all = "";
  for (let number = 1; all.length < length; number += 1) all += SECTION(number);
  return all.slice(0, length);
}

/** What a page offers to whoever measures it. */
export interface Measured {
  /** Shows this much at once. */
  hold(text: string): Promise<void>;
  /** Adds a piece, and returns when its frame is laid out. */
  add(piece: string): Promise<void>;
  /** Letters on the page. */
  shown(): number;
}
