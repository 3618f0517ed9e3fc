// The bytes of a log as they come through a WebSocket: each piece says where it begins.

const HEADER = 8;

export type Piece = { offset: number; bytes: Uint8Array };

/** A binary frame: a little-endian u64, then the bytes. `null` if it is none. */
export function piece(frame: ArrayBuffer): Piece | null {
  if (frame.byteLength < HEADER) return null;
  const offset = Number(new DataView(frame).getBigUint64(0, true));
  return Number.isSafeInteger(offset) ? { offset, bytes: new Uint8Array(frame, HEADER) } : null;
}

/** Lines of several streams, and where each of those is after them. */
export type Merged = { at: string; bytes: Uint8Array };

/** A binary frame of them: how long the place is as a little-endian u32, the place, the lines. `null` if it is none. */
export function merged(frame: ArrayBuffer): Merged | null {
  if (frame.byteLength < 4) return null;
  const length = new DataView(frame).getUint32(0, true);
  if (4 + length > frame.byteLength) return null;
  return { at: new TextDecoder().decode(new Uint8Array(frame, 4, length)), bytes: new Uint8Array(frame, 4 + length) };
}

/** What of a piece is new to somebody who has everything before `have`; `lost` is how much was left out before it. */
export function fresh(it: Piece, have: number): { bytes: Uint8Array; lost: number } {
  if (it.offset >= have) return { bytes: it.bytes, lost: it.offset - have };
  return { bytes: it.bytes.subarray(Math.min(have - it.offset, it.bytes.length)), lost: 0 };
}

/** How many lines end in these bytes. */
export function lines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

/** The end of `bytes` with at most so many of them, beginning after a line's end if there is one. */
export function tail(bytes: Uint8Array, most: number): Uint8Array {
  if (bytes.length <= most) return bytes;
  const from = bytes.length - most;
  const end = bytes.indexOf(10, from - 1);
  return bytes.subarray(end === -1 ? from : end + 1);
}
