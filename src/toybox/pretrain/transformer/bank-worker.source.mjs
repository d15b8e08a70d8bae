// Worker threads do not inherit tsx's loader: when running from source, register it before the worker.
import { register } from 'tsx/esm/api';

register();
await import('./bank-worker.ts');
