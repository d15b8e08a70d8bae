import { createUniverse } from '../src/toybox/universe/universe.ts';

/**
 * Clips that one core renders in a second of its own time (so that other work on the machine does not count):
 * `npx tsx bench/toybox-universe.ts`. Needs the atlas; `dualreal toybox preview` makes it. The bar is 200 clips.
 */
const SECONDS = 4;
const usedSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

for (const frames of [1, 9, 17]) {
  const universe = createUniverse({ seed: 1, split: 'pretraining', frames });
  // Warm-up: reads the sprites and lets the compiler settle.
  for (let index = 0; index < 2000; index++) universe.render(index);
  const start = usedSeconds();
  let count = 0;
  while (usedSeconds() - start < SECONDS) {
    universe.render(2000 + count);
    count++;
  }
  const perSecond = count / (usedSeconds() - start);
  const megabytes = process.memoryUsage().rss / 2 ** 20;
  console.log(`${frames} frames: ${perSecond.toFixed(0)} samples/s, ${megabytes.toFixed(0)} MiB resident`);
}
