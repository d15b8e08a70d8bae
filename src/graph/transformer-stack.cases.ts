import { floats, type HostTensor } from '../tensor/host-tensor.ts';
import { randomStream } from '../tensor/random.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';
import { checkpoint } from './checkpoint.ts';
import { gradients } from './gradient.ts';
import * as g from './ops/index.ts';
import { type Program, program } from './program.ts';
import { input, type Value, weight } from './value.ts';

export interface StackSettings {
  readonly blocks: number;
  readonly batch: number;
  readonly tokens: number;
  readonly width: number;
  readonly heads: number;
  /** Which parameters learn: bottleneck adapters in a frozen stack, or everything. */
  readonly trains: 'adapters' | 'all';
  readonly checkpointed: boolean;
}

export interface Stack {
  /** `loss` and the gradient of every trainable parameter, by its name. */
  readonly program: Program;
  readonly weights: ReadonlyMap<string, HostTensor>;
  readonly feeds: Record<string, HostTensor>;
}

/** A pre-norm transformer with adapters after its attention: what CogVideoX training is made of, at any size. */
export function transformerStack(settings: StackSettings): Stack {
  const { blocks, batch, tokens, width, trains, checkpointed } = settings;
  const weights = new Map<string, HostTensor>();
  const feeds: Record<string, HostTensor> = {};
  const trainable = new Map<string, Value>();
  const random = (name: string, shape: Shape, scale: number) =>
    floats(
      shape,
      randomStream(1, name)
        .normals(sizeOf(shape))
        .map((value) => value * scale),
    );
  const parameter = (name: string, shape: Shape) => {
    const tensor = random(name, shape, 1 / Math.sqrt(shape.at(-1)!));
    if (trains === 'adapters' && !name.includes('adapter')) {
      weights.set(name, tensor);
      return weight(name, shape);
    }
    feeds[name] = tensor;
    const value = input(name, shape);
    trainable.set(name, value);
    return value;
  };
  const linear = (x: Value, name: string, out: number) =>
    g.linear(x, parameter(`${name}.weight`, [out, x.shape.at(-1)!]), parameter(`${name}.bias`, [out]));
  const split = (x: Value) => g.transpose(g.reshape(x, [batch, tokens, settings.heads, -1]), [0, 2, 1, 3]); // [B, H, N, d]

  const block = (x: Value, name: string): Value => {
    const normalized = g.normalize(x, 1e-5);
    const [q, k, v] = ['q', 'k', 'v'].map((part) => split(linear(normalized, `${name}.${part}`, width)));
    const attended = g.attention(g.normalize(q, 1e-6), g.normalize(k, 1e-6), v);
    const merged = g.reshape(g.transpose(attended, [0, 2, 1, 3]), [batch, tokens, width]); // [B, N, D]
    const out = linear(merged, `${name}.out`, width);
    const narrow = g.gelu(linear(out, `${name}.adapter.down`, Math.max(4, width >> 2)));
    const middle = g.add(x, g.add(out, linear(narrow, `${name}.adapter.up`, width)));
    const wide = g.geluTanh(linear(g.normalize(middle, 1e-5), `${name}.wide`, 4 * width));
    return g.add(middle, linear(wide, `${name}.narrow`, width));
  };

  const shape = [batch, tokens, width];
  feeds.x = random('x', shape, 1);
  feeds.target = random('target', shape, 1);
  let x = input('x', shape);
  for (let i = 0; i < blocks; i++) {
    const entering = x;
    const run = () => block(entering, `block.${i}`);
    x = checkpointed ? checkpoint(run) : run();
  }
  const loss = g.mean(g.square(g.sub(x, input('target', shape))));
  const outputs: Record<string, Value> = { loss };
  const found = gradients(loss, [...trainable.values()]);
  for (const [i, name] of [...trainable.keys()].entries()) outputs[`gradient ${name}`] = found[i]!;
  return { program: program('transformer stack', outputs), weights, feeds };
}
