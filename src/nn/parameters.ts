import { input, type Value, weight } from '../graph/value.ts';
import { ShapeError } from '../tensor/errors.ts';
import { formatShape, type Shape, sameShape } from '../tensor/shape.ts';

/** A place in a parameter tree. Dotted paths are the checkpoint's tensor names. */
export interface ParameterScope {
  readonly path: string;
  /** The scope below, e.g. `scope.at('attn1', 'to_q')` or `scope.at('transformer_blocks', 3)`. */
  at(...names: (string | number)[]): ParameterScope;
  /** The parameter `name` here, declared with its shape. Asking twice gives the same value. */
  get(name: string, shape: Shape): Value;
}

export interface DeclaredParameter {
  readonly shape: Shape;
  readonly trainable: boolean;
  readonly value: Value;
}

/**
 * Collects the parameters a model asks for while it is traced: frozen ones become weights of the program,
 * trainable ones inputs. What was declared is exactly what a checkpoint must hold.
 */
export class Parameters {
  readonly declared = new Map<string, DeclaredParameter>();
  private readonly isTrainable: (path: string) => boolean;

  constructor(isTrainable: (path: string) => boolean = () => false) {
    this.isTrainable = isTrainable;
  }

  get root(): ParameterScope {
    return this.scope('');
  }

  scope(path: string): ParameterScope {
    const join = (...names: (string | number)[]) => [path, ...names].filter((part) => part !== '').join('.');
    return {
      path,
      at: (...names) => this.scope(join(...names)),
      get: (name, shape) => this.declare(join(name), shape),
    };
  }

  private declare(path: string, shape: Shape): Value {
    const known = this.declared.get(path);
    if (known) {
      if (sameShape(known.shape, shape)) return known.value;
      throw new ShapeError({
        where: `parameter ${path}`,
        expected: `one shape, first ${formatShape(known.shape)}`,
        got: formatShape(shape),
      });
    }
    const trainable = this.isTrainable(path);
    const value = trainable ? input(path, shape) : weight(path, shape);
    this.declared.set(path, { shape, trainable, value });
    return value;
  }
}
