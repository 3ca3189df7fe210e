/** Small typed validators for JSON from outside: each takes a value and its path, returns it typed or throws. */

export type Shape<T> = (value: unknown, path: string) => T;
export type Infer<S> = S extends Shape<infer T> ? T : never;

/** The value at `path` is not what its shape asks for. */
export class ShapeError extends Error {
  override name = "ShapeError";

  constructor(path: string, wanted: string) {
    super(`${path} is not ${wanted}`);
  }
}

interface Optional<T> {
  (value: unknown, path: string): T | undefined;
  readonly optional: true;
}

type Fields = Record<string, Shape<unknown> | Optional<unknown>>;

type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K] extends Optional<unknown> ? K : never }[keyof F];

type ObjectOf<F extends Fields> = {
  [K in Exclude<keyof F, OptionalKeys<F>>]: F[K] extends Shape<infer T> ? T : never;
} & { [K in OptionalKeys<F>]?: F[K] extends Optional<infer T> ? T : never };

export const string: Shape<string> = (value, path) => {
  if (typeof value !== "string") throw new ShapeError(path, "a string");
  return value;
};

export const number: Shape<number> = (value, path) => {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new ShapeError(path, "a number");
  return value;
};

export const integer: Shape<number> = (value, path) => {
  if (!Number.isSafeInteger(value)) throw new ShapeError(path, "an integer");
  return value as number;
};

export const boolean: Shape<boolean> = (value, path) => {
  if (typeof value !== "boolean") throw new ShapeError(path, "a boolean");
  return value;
};

export function literal<const T extends string>(...allowed: readonly T[]): Shape<T> {
  return (value, path) => {
    if (!allowed.includes(value as T)) throw new ShapeError(path, `one of ${allowed.join(", ")}`);
    return value as T;
  };
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value, path) => (value === null ? null : shape(value, path));
}

export function optional<T>(shape: Shape<T>): Optional<T> {
  return Object.assign(
    (value: unknown, path: string) => (value === undefined ? undefined : shape(value, path)),
    {
      optional: true as const,
    },
  );
}

export function array<T>(shape: Shape<T>): Shape<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new ShapeError(path, "an array");
    return value.map((item, index) => shape(item, `${path}[${index}]`));
  };
}

/** An object with these fields; others are dropped, so that a newer server may add some. */
export function object<F extends Fields>(fields: F): Shape<ObjectOf<F>> {
  const entries = Object.entries(fields);
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new ShapeError(path, "an object");
    const source = value as Record<string, unknown>;
    const result: Record<string, unknown> = {};
    for (const [name, shape] of entries) {
      const field = shape(Object.hasOwn(source, name) ? source[name] : undefined, `${path}.${name}`);
      if (field !== undefined) result[name] = field;
    }
    return result as ObjectOf<F>;
  };
}
