import type { Shape } from '../../tensor/shape.ts';
import type { OnnxEmitter } from '../onnx-emitter.ts';
import { type ConvolutionForm, Nodes, type Window } from './convolution-form.ts';

/** Convolutions as standard ONNX nodes, for every backend. */
export function plainForm(emitter: OnnxEmitter, kernel: Shape, { stride, padding }: Window): ConvolutionForm {
  const nodes = new Nodes(emitter);
  const { backend } = emitter.target;
  // onnxruntime's WebGPU kernel for 1×1 windows (1.30.0) leaves out padding that is at the end only.
  const padsFirst = backend === 'webgpu' && kernel.every((extent) => extent === 1);
  const [top, left, bottom, right] = padding;
  const pads = padsFirst ? [0, 0, 0, 0] : padding;
  const attributes = { kernel_shape: kernel, strides: [stride, stride], pads };
  const fused = backend === 'cpu';
  return {
    enter: (image) => (padsFirst ? nodes.pad(image, [0, 0, top, left], [0, 0, bottom, right]) : image),
    leave: (image, name) => nodes.rename(image, name),
    weights: ({ name, shape: [out, inner, taps, kh, kw] }, direction) => {
      const adjoint = direction === 'adjoint';
      const turned =
        taps === 1 && !adjoint ? name : nodes.transpose(name, adjoint ? [2, 1, 0, 3, 4] : [2, 0, 1, 3, 4]);
      const [to, from] = adjoint ? [inner, out] : [out, inner];
      const all = adjoint ? nodes.reverse(nodes.reshape(turned, [taps, to, from, kh * kw]), 3) : turned;
      return Array.from({ length: taps }, (_, tap) =>
        nodes.reshape(taps === 1 ? all : nodes.slice(all, 0, tap, tap + 1), [to, from, kh, kw]),
      );
    },
    convolve: (image, weight, { bias, sum }) => {
      if (fused && sum !== undefined) {
        const operands = [image, weight, bias ?? '', sum];
        return emitter.node('FusedConv', operands, 1, attributes, 'com.microsoft')[0];
      }
      const operands = bias === undefined ? [image, weight] : [image, weight, bias];
      const [result] = emitter.node('Conv', operands, 1, attributes);
      return sum === undefined ? result : nodes.add(result, sum);
    },
  };
}
