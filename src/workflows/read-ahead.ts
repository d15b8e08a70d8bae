/** Files that are read at a time: reading a small one is mostly waiting for a program to start. */
const AHEAD = 3;

/** Results in order; while one is used the next ones are being made. */
export async function* readAhead<From, To>(
  items: readonly From[],
  make: (item: From) => Promise<To>,
): AsyncGenerator<To> {
  const making: Promise<To>[] = [];
  for (let i = 0; i < items.length; i++) {
    while (making.length < AHEAD && i + making.length < items.length) {
      const next = make(items[i + making.length]);
      // Where an earlier one fails, nobody waits for this.
      next.catch(() => undefined);
      making.push(next);
    }
    yield await making.shift()!;
  }
}
