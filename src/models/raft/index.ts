export { MIN_SIDE, parseRaftConfig, type RaftConfig } from './config.ts';
export { type RaftInputs, raftFlow } from './model.ts';
export { plainRaftWeights } from './weights.ts';
