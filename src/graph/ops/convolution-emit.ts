import type { OnnxEmitter } from '../onnx-emitter.ts';
import { blockedForm, fitsBlocks } from './convolution-blocked.ts';
import {
  type ConvolutionForm,
  type Direction,
  type NamedWeight,
  Nodes,
  type Window,
} from './convolution-form.ts';
import { plainForm } from './convolution-plain.ts';
import { schedule, type Term } from './convolution-schedule.ts';

export interface ConvolutionRequest {
  readonly images: readonly string[];
  readonly weight: NamedWeight;
  readonly direction: Direction;
  readonly bias?: string | undefined;
  readonly window: Window;
  /** What each result sums. */
  readonly terms: readonly (readonly Term[])[];
  /** Names of the results; '' where nobody wants one. */
  readonly results: readonly string[];
}

/** Writes Σ over terms of convolutions, for each result. */
export function emitConvolutions(emitter: OnnxEmitter, request: ConvolutionRequest): void {
  const { images, weight, direction, bias } = request;
  const nodes = new Nodes(emitter);
  const form = chooseForm(emitter, request);
  const taps = form.weights(weight, direction);
  const entered = lazily((input: number) => form.enter(images[input]));
  const summed = lazily((key: string) =>
    key
      .split('+')
      .map((tap) => taps[Number(tap)])
      .reduce((a, b) => nodes.add(a, b)),
  );
  const outer = lazily((_: 'outer') => nodes.add(taps[0], taps[2]));
  const halfSum = lazily((_: 'sum') => nodes.half(nodes.add(outer('outer'), taps[1])));
  const halfDifference = lazily((_: 'difference') => nodes.half(nodes.sub(outer('outer'), taps[1])));

  const leave = (image: () => string, result: number) => {
    if (request.results[result] !== '') form.leave(image(), request.results[result]);
  };
  // The schedule does not depend on what is wanted, so that neither does the rounding of a result.
  for (const step of schedule(request.terms)) {
    const outputs = step.kind === 'pair' ? [step.first, step.second] : [step.output];
    if (outputs.every((output) => request.results[output] === '')) continue;
    if (step.kind === 'pair') {
      const [d0, d1, d2, d3] = step.inputs.map(entered);
      const a = form.convolve(nodes.add(d1, d2), halfSum('sum'), {});
      const b = form.convolve(nodes.sub(d2, d1), halfDifference('difference'), {});
      leave(() => form.convolve(nodes.sub(d0, d2), taps[0], { bias, sum: nodes.add(a, b) }), step.first);
      leave(() => form.convolve(nodes.sub(d3, d1), taps[2], { bias, sum: nodes.sub(a, b) }), step.second);
      continue;
    }
    let sum: string | undefined;
    for (const [i, { input, taps: seen }] of step.terms.entries()) {
      sum = form.convolve(entered(input), summed(seen.join('+')), {
        bias: i === step.terms.length - 1 ? bias : undefined,
        ...(sum !== undefined && { sum }),
      });
    }
    leave(() => sum!, step.output);
  }
}

function chooseForm(
  emitter: OnnxEmitter,
  { weight, direction, window }: ConvolutionRequest,
): ConvolutionForm {
  const { shape } = weight;
  const [to, from] = direction === 'forward' ? shape : [shape[1], shape[0]];
  const kernel = shape.slice(3);
  const { blockedChannels } = emitter.target;
  return blockedChannels !== undefined && fitsBlocks(from, blockedChannels)
    ? blockedForm(emitter, blockedChannels, { from, to }, kernel, window)
    : plainForm(emitter, kernel, window);
}

/** Memoizes: nodes are written when they are first asked for. */
function lazily<K, T>(make: (key: K) => T): (key: K) => T {
  const made = new Map<K, T>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const fresh = make(key);
    made.set(key, fresh);
    return fresh;
  };
}
