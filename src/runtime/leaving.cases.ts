// A program that has to end by itself: uses the engine in its thread, leaves it in the way that is named and
// prints "done". Usage: leaving.cases.ts <way>
import * as g from '../graph/index.ts';
import { zeros } from '../tensor/host-tensor.ts';
import { createRuntime } from './runtime.ts';

const size = 768;
const a = g.input('a', [size, size]);
let y = a;
for (let i = 0; i < 40; i++) y = g.gemm(y, a);
const runtime = createRuntime({ threads: 2 });
const executable = await runtime.compile(g.program('p', { y }));
const feeds = { a: zeros('f32', [size, size]) };

switch (process.argv[2]) {
  case 'released':
    await executable.run(feeds);
    await executable.release();
    break;
  case 'closed':
    await executable.run(feeds);
    await runtime.close();
    break;
  case 'left':
    await executable.run(feeds);
    break;
  case 'exited while running':
    void executable.run(feeds);
    setTimeout(() => process.exit(0), 50);
    await new Promise(() => {});
    break;
  default: {
    const running = executable.run(feeds);
    setTimeout(() => void runtime.close(), 50);
    await running.then(
      () => console.log('was not stopped'),
      () => {},
    );
  }
}
console.log('done');
