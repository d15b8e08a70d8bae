import { expect, it } from 'vitest';
import { floats, integers } from '../tensor/host-tensor.ts';
import { buffersOf, withOwnBuffers } from './own-buffers.ts';

it('takes views out of larger buffers, wherever they are, and leaves all else as it is', () => {
  const around = new Float32Array(1000).fill(7);
  const whole = integers([1], [5]);
  const message = {
    inputs: { view: floats([2], around.subarray(10, 12)), whole },
    states: new Map([['moment', { tensors: [around.subarray(1, 4)] }]]),
    model: Buffer.from('model'),
    nothing: null,
    number: 3,
  };
  const posted = withOwnBuffers(message) as typeof message;
  expect(posted).toEqual({ ...message, model: new Uint8Array(message.model) });
  expect(posted.model.buffer.byteLength).toBe(5);
  expect(posted.inputs.view.data.buffer.byteLength).toBe(8);
  expect(posted.states.get('moment')!.tensors[0].buffer.byteLength).toBe(12);
  expect(posted.inputs.whole.data).toBe(whole.data);
  expect(message.inputs.view.data.buffer).toBe(around.buffer);
});

it('finds every buffer once', () => {
  const shared = new Float32Array(4);
  const message = {
    a: [shared.subarray(1), { b: shared }],
    c: new Map([['d', integers([1], [5])]]),
    e: 'text',
  };
  const found = [...buffersOf(message)];
  expect(found).toEqual([shared.buffer, message.c.get('d')!.data.buffer]);
});
