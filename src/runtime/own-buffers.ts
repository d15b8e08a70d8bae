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
