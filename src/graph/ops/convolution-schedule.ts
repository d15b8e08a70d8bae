/** One summand of an output frame: an input frame seen by one temporal tap of the kernel. */
export interface Term {
  readonly input: number;
  readonly tap: number;
}

/** What to compute for one or two output frames. */
export type Step =
  | {
      readonly kind: 'direct';
      readonly output: number;
      /** Taps that see the same input share one convolution with the sum of their weights. */
      readonly terms: readonly { readonly input: number; readonly taps: readonly number[] }[];
    }
  | {
      readonly kind: 'pair';
      /** first = Σₖ Wₖ·inputs[k], second = Σₖ Wₖ·inputs[k + 1], k = 0, 1, 2. */
      readonly first: number;
      readonly second: number;
      readonly inputs: readonly [number, number, number, number];
    };

/**
 * Orders the work of a convolution over frames. Two outputs of a three-tap kernel that see four different
 * inputs in a row are paired, to be computed with four convolutions instead of six (F(2, 3) of Winograd,
 * "Arithmetic complexity of computations", 1980, along time); everything else is computed directly.
 */
export function schedule(outputs: readonly (readonly Term[])[]): readonly Step[] {
  const sequences = outputs.map(threeInputs);
  const steps: Step[] = [];
  const done = new Set<number>();
  for (const [first, a] of sequences.entries()) {
    if (!a || done.has(first)) continue;
    const second = sequences.findIndex(
      (b, i) =>
        b !== undefined && i !== first && !done.has(i) && b[0] === a[1] && b[1] === a[2] && !a.includes(b[2]),
    );
    if (second < 0) continue;
    done.add(first).add(second);
    steps.push({ kind: 'pair', first, second, inputs: [...a, sequences[second]![2]] });
  }
  for (const [output, terms] of outputs.entries()) {
    if (!done.has(output)) steps.push({ kind: 'direct', output, terms: byInput(terms) });
  }
  return steps.sort((a, b) => position(a) - position(b));
}

function position(step: Step): number {
  return step.kind === 'pair' ? Math.min(step.first, step.second) : step.output;
}

/** The inputs of taps 0, 1 and 2 if those are the terms and the inputs differ. */
function threeInputs(terms: readonly Term[]): readonly [number, number, number] | undefined {
  if (terms.length !== 3) return undefined;
  const inputs = [0, 1, 2].map((tap) => terms.find((term) => term.tap === tap)?.input);
  const [a, b, c] = inputs;
  if (a === undefined || b === undefined || c === undefined) return undefined;
  return a === b || b === c || a === c ? undefined : [a, b, c];
}

function byInput(terms: readonly Term[]): { input: number; taps: number[] }[] {
  const groups = new Map<number, number[]>();
  for (const { input, tap } of terms) {
    const taps = groups.get(input);
    if (taps) taps.push(tap);
    else groups.set(input, [tap]);
  }
  return [...groups].map(([input, taps]) => ({ input, taps: taps.sort((a, b) => a - b) }));
}
