/**
 * A message without views into larger buffers: posting a view clones all that lies behind it, which may be
 * a whole file.
 */
export function withOwnBuffers(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) {
    const view = value as Uint8Array;
    if (view.byteLength === view.buffer.byteLength) return view;
    // slice() of a Node Buffer is another view.
    return Buffer.isBuffer(view) ? new Uint8Array(view) : view.slice();
  }
  if (Array.isArray(value)) return value.map(withOwnBuffers);
  if (value instanceof Map) return new Map([...value].map(([key, entry]) => [key, withOwnBuffers(entry)]));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, withOwnBuffers(entry)]));
}

/** The buffers behind a message's arrays, for it to hand them over instead of cloning them. */
export function buffersOf(value: unknown, found = new Set<ArrayBufferLike>()): ReadonlySet<ArrayBufferLike> {
  if (ArrayBuffer.isView(value)) found.add(value.buffer);
  else if (typeof value === 'object' && value !== null) {
    for (const entry of value instanceof Map ? value.values() : Object.values(value)) buffersOf(entry, found);
  }
  return found;
}
