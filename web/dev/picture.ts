/** A PNG that looks like something, made here so that no binary file is kept. */
import { crc32, deflateSync } from "node:zlib";

/** A window with a title bar and two columns, in colours. */
export function picture(width = 480, height = 270): Buffer {
  const rows: Buffer[] = [];
  for (let y = 0; y < height; y += 1) {
    const row = Buffer.alloc(1 + width * 3);
    for (let x = 0; x < width; x += 1) row.set(colour(x / width, y / height), 1 + x * 3);
    rows.push(row);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Eight bits for each of red, green and blue.
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function colour(x: number, y: number): [number, number, number] {
  if (y < 0.12) return [59, 91, 219];
  if (x < 0.28) return [232, 236, 250];
  const line = Math.floor(y * 14) % 2 === 0 && x > 0.34 && x < 0.9 - 0.3 * Math.abs(Math.sin(Math.floor(y * 14)));
  return line ? [160, 170, 195] : [252, 252, 254];
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
  const frame = Buffer.alloc(body.length + 8);
  frame.writeUInt32BE(data.length, 0);
  body.copy(frame, 4);
  frame.writeUInt32BE(crc32(body), body.length + 4);
  return frame;
}
