import { describe, expect, it } from 'vitest';
import { DualrealError } from '../tensor/errors.ts';
import { floats } from '../tensor/host-tensor.ts';
import * as g from './index.ts';
import { executionOrder } from './program.ts';

describe('a printed program', () => {
  it('pins a trained layer between frozen ones', () => {
    const x = g.input('x', [2, 3]);
    const hidden = g.gelu(g.linear(x, g.input('first.weight', [4, 3]), g.input('first.bias', [4])));
    const loss = g.mean(g.square(g.linear(hidden, g.weight('second.weight', [1, 4]))));
    const [dWeight, dBias] = g.gradients(
      loss,
      ['first.weight', 'first.bias'].map((name) => leaf(hidden, name)),
    );
    const traced = g.program('layer', {
      loss,
      'gradient:first.weight': dWeight!,
      'gradient:first.bias': dBias!,
    });
    expect(g.printProgram(traced)).toMatchInlineSnapshot(`
      "program layer
        input x: f32[2, 3]
        input first.weight: f32[4, 3]
        input first.bias: f32[4]
        weight second.weight: f32[1, 4]
        %0: f32[2, 4] = gemm(x, first.weight, first.bias) {transposeA=false transposeB=true}
        %1: f32[2, 4] = gelu(%0)
        %2: f32[2, 1] = gemm(%1, second.weight) {transposeA=false transposeB=true}
        %3: f32[2, 1] = mul(%2, %2)
        %4: f32[] = mean(%3) {axes=[0,1] keepDims=false}
        %5: f32[] = constant() {1}
        %6: f32[] = constant() {2}
        %7: f32[] = div(%5, %6)
        %8: f32[1, 1] = reshape(%7) {shape=[1,1]}
        %9: f32[] = constant() {2}
        %10: f32[2, 1] = mul(%2, %9)
        %11: f32[2, 1] = mul(%8, %10)
        %12: f32[2, 4] = gemm(%11, second.weight) {transposeA=false transposeB=false}
        %13: f32[] = constant() {0.7071067690849304}
        %14: f32[2, 4] = mul(%0, %13)
        %15: f32[2, 4] = erf(%14)
        %16: f32[] = constant() {0.5}
        %17: f32[2, 4] = mul(%15, %16)
        %18: f32[] = constant() {0.5}
        %19: f32[2, 4] = add(%17, %18)
        %20: f32[2, 4] = mul(%0, %0)
        %21: f32[] = constant() {-0.5}
        %22: f32[2, 4] = mul(%20, %21)
        %23: f32[2, 4] = exp(%22)
        %24: f32[] = constant() {0.3989422917366028}
        %25: f32[2, 4] = mul(%23, %24)
        %26: f32[2, 4] = mul(%0, %25)
        %27: f32[2, 4] = add(%19, %26)
        %28: f32[2, 4] = mul(%12, %27)
        %29: f32[4, 3] = gemm(%28, x) {transposeA=true transposeB=false}
        %30: f32[4] = sum(%28) {axes=[0] keepDims=false}
        output loss = %4
        output gradient:first.weight = %29
        output gradient:first.bias = %30
      "
    `);
  });

  it('pins attention, back to its queries', () => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => g.input(name, [1, 2, 3, 4]));
    const o = g.attention(q, k, v, { bias: g.weight('bias', [1, 2, 3, 3]) });
    const [dq] = g.gradients(g.sum(g.mul(o, g.input('upstream', [1, 2, 3, 4]))), [q]);
    expect(g.printProgram(g.program('attention', { o, dq: dq! }))).toMatchInlineSnapshot(`
      "program attention
        input q: f32[1, 2, 3, 4]
        input k: f32[1, 2, 3, 4]
        input v: f32[1, 2, 3, 4]
        input upstream: f32[1, 2, 3, 4]
        weight bias: f32[1, 2, 3, 3]
        %0: f32[1, 2, 3, 4], %1: f32[1, 2, 3, 3] = attention(q, k, v, bias) {scale=0.5}
        %2: f32[] = constant() {1}
        %3: f32[1, 1, 1, 1] = reshape(%2) {shape=[1,1,1,1]}
        %4: f32[1, 2, 3, 4] = mul(%3, upstream)
        %5: f32[1, 2, 3, 3] = matmul(%4, v) {transposeA=false transposeB=true alpha=1}
        %6: f32[1, 2, 3, 4] = mul(%4, %0)
        %7: f32[1, 2, 3, 1] = sum(%6) {axes=[3] keepDims=true}
        %8: f32[1, 2, 3, 3] = sub(%5, %7)
        %9: f32[1, 2, 3, 3] = mul(%1, %8)
        %10: f32[1, 2, 3, 4] = matmul(%9, k) {transposeA=false transposeB=false alpha=0.5}
        output o = %0
        output dq = %10
      "
    `);
  });

  it('pins a checkpointed layer', () => {
    const x = g.input('x', [2, 3]);
    const y = g.checkpoint(() => g.tanh(g.linear(g.tanh(x), g.weight('w', [3, 3]))));
    const [dx] = g.gradients(g.sum(y), [x]);
    expect(g.printProgram(g.program('checkpointed', { y, dx: dx! }))).toMatchInlineSnapshot(`
      "program checkpointed
        input x: f32[2, 3]
        weight w: f32[3, 3]
        %0: f32[2, 3] = tanh(x)
        %1: f32[2, 3] = gemm(%0, w) {transposeA=false transposeB=true}
        %2: f32[2, 3] = tanh(%1)
        %3: f32[] = constant() {1}
        %4: f32[1, 1] = reshape(%3) {shape=[1,1]}
        %5: f32[2, 3] = expand(%4) {shape=[2,3]}
        %6: f32[2, 3] = barrier(x, %5)
        %7: f32[2, 3] = tanh(%6)
        %8: f32[2, 3] = gemm(%7, w) {transposeA=false transposeB=true}
        %9: f32[2, 3] = tanh(%8)
        %10: f32[2, 3] = mul(%9, %9)
        %11: f32[] = constant() {1}
        %12: f32[2, 3] = sub(%11, %10)
        %13: f32[2, 3] = mul(%4, %12)
        %14: f32[2, 3] = gemm(%13, w) {transposeA=false transposeB=false}
        %15: f32[2, 3] = mul(%7, %7)
        %16: f32[] = constant() {1}
        %17: f32[2, 3] = sub(%16, %15)
        %18: f32[2, 3] = mul(%14, %17)
        output y = %2
        output dx = %18
      "
    `);
  });

  it('does not depend on what was traced before', () => {
    const trace = () => g.printProgram(g.program('p', { y: g.add(g.mul(g.input('x', [2]), 3), 1) }));
    expect(trace()).toBe(trace());
  });
});

describe('program', () => {
  it('holds what its outputs need and nothing else', () => {
    const x = g.input('x', [2]);
    g.exp(g.input('unused', [2]));
    const traced = g.program('p', { y: g.neg(x) });
    expect([...traced.inputs.keys()]).toEqual(['x']);
    expect(traced.nodes.map(({ op }) => op.name)).toEqual(['neg']);
  });

  it('refuses two leaves of one name', () => {
    const y = g.add(g.input('x', [2]), g.weight('x', [2]));
    expect(() => g.program('p', { y })).toThrow(/one leaf of each name, got two of x/);
  });

  it('refuses an output that is named like a leaf it is not', () => {
    const x = g.input('x', [2]);
    expect(() => g.program('p', { x: g.neg(x) })).toThrow(/output named x/);
    expect(g.program('p', { x }).outputs.get('x')).toBe(x);
  });

  it.each(['', '%0', '%12'])('refuses the name %o, which the ONNX writer could give', (name) => {
    expect(() => g.program('p', { y: g.neg(g.input(name, [2])) })).toThrow(DualrealError);
    expect(() => g.program('p', { [name]: g.neg(g.input('x', [2])) })).toThrow(DualrealError);
  });

  it('is written with its last results first, so that gradients are finished as they are reached', () => {
    const x = g.input('x', [2]);
    const [first, second, third] = [g.neg(x), g.exp(x), g.mul(g.constant(floats([], [2])), x)];
    const traced = g.program('p', { first, second, third });
    const written = executionOrder(traced).map(({ op }) => op.name);
    expect(written).toEqual(['constant', 'mul', 'exp', 'neg']);
  });
});

function leaf(value: g.Value, name: string): g.Value {
  return g.program('search', { value }).inputs.get(name)!;
}
