import { createHash } from "node:crypto";
import sharp from "sharp";

const SIZE = 640;

/**
 * A picture for a product of the seed: shapes and colours from its name, the same each time, drawn by us and
 * free of anybody's rights.
 * @returns a PNG of 640 × 640
 */
export function drawPicture(name: string): Promise<Buffer> {
  const bytes = createHash("sha256").update(name).digest();
  const at = (index: number) => bytes[index % bytes.length] ?? 0;
  const hue = Math.round((at(0) / 255) * 360);
  const shapes = Array.from({ length: 5 }, (_, index) => {
    const x = 80 + (at(index * 4 + 1) / 255) * 480;
    const y = 80 + (at(index * 4 + 2) / 255) * 480;
    const size = 60 + (at(index * 4 + 3) / 255) * 160;
    const colour = `hsl(${(hue + 25 * (index + 1)) % 360} 60% ${40 + index * 8}%)`;
    return at(index * 4 + 4) % 2 === 0
      ? `<circle cx="${x}" cy="${y}" r="${size / 2}" fill="${colour}" fill-opacity="0.75"/>`
      : `<rect x="${x - size / 2}" y="${y - size / 2}" width="${size}" height="${size}" rx="${size / 8}" fill="${colour}" fill-opacity="0.75" transform="rotate(${at(index) % 90} ${x} ${y})"/>`;
  });
  const drawing = `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE}" height="${SIZE}">
    <defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">
      <stop offset="0" stop-color="hsl(${hue} 45% 92%)"/><stop offset="1" stop-color="hsl(${(hue + 40) % 360} 45% 82%)"/>
    </linearGradient></defs>
    <rect width="100%" height="100%" fill="url(#g)"/>${shapes.join("")}</svg>`;
  return sharp(Buffer.from(drawing)).png().toBuffer();
}
