import { createUniverse } from '../src/toybox/universe/universe.ts';

/**
 * Clips per second that one core renders: `npx tsx bench/toybox-universe.ts`. Needs the atlas
 * (`dualreal toybox preview` makes it). The bar is 200 clips of 9 frames a second.
 */
const SECONDS = 4;

for (const frames of [1, 9, 17]) {
  const universe = createUniverse({ seed: 1, split: 'pretraining', frames });
  // Warm-up: reads the sprites and lets the compiler settle.
  for (let index = 0; index < 2000; index++) universe.render(index);
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < SECONDS * 1000) {
    universe.render(2000 + count);
    count++;
  }
  const perSecond = count / ((performance.now() - start) / 1000);
  const megabytes = process.memoryUsage().rss / 2 ** 20;
  console.log(`${frames} frames: ${perSecond.toFixed(0)} samples/s, ${megabytes.toFixed(0)} MiB resident`);
}
