export * from './activation.ts';
export * from './attention.ts';
export { type ConvolutionOptions, conv2d, convolveFrames, type FrameTaps } from './convolution.ts';
export * from './elementwise.ts';
export { gemm, linear, matmul } from './matrix.ts';
export * from './normalize.ts';
export { max, mean, sum } from './reduce.ts';
export * from './shape.ts';
