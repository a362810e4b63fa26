/** As much of JSON Schema (2020-12) as `test-vectors/schema.json` uses. Throws at a keyword that it doesn't know. */

export type Schema = { readonly [keyword: string]: unknown };

const KNOWN = new Set([
  ...[
    '$schema',
    '$defs',
    '$ref',
    'title',
    'description',
    'type',
    'const',
    'enum',
    'pattern',
    'minLength',
    'minItems',
    'uniqueItems',
    'items',
  ],
  ...['required', 'properties', 'propertyNames', 'additionalProperties', 'unevaluatedProperties', 'allOf', 'if', 'then', 'else', 'not'],
]);

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const typeOf = (value: unknown): string => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value);

/** What is wrong with `value`, as places with keywords; empty if it is valid. */
export function faults(root: Schema, value: unknown, schema: Schema = root, place = ''): string[] {
  const unknown = Object.keys(schema).filter((keyword) => !KNOWN.has(keyword));
  if (unknown.length > 0) throw new Error(`unknown keywords: ${unknown.join(', ')}`);
  const found: string[] = [];
  const check = (keyword: string, holds: (argument: never) => boolean): void => {
    if (schema[keyword] !== undefined && !holds(schema[keyword] as never)) found.push(`${place}: ${keyword}`);
  };
  const within = (inner: unknown, at = place, what: unknown = value): string[] => faults(root, what, inner as Schema, at);
  check('type', (type: string) => typeOf(value) === type);
  check('const', (expected: unknown) => value === expected);
  check('enum', (values: unknown[]) => values.includes(value));
  check('pattern', (pattern: string) => typeof value !== 'string' || new RegExp(pattern).test(value));
  check('minLength', (least: number) => typeof value !== 'string' || value.length >= least);
  check('minItems', (least: number) => !Array.isArray(value) || value.length >= least);
  check('uniqueItems', () => !Array.isArray(value) || new Set(value).size === value.length);
  check('required', (names: string[]) => !isObject(value) || names.every((name) => name in value));
  check('not', (inner: unknown) => within(inner).length > 0);
  const ref = schema['$ref'] as string | undefined;
  const target = ref === undefined ? undefined : (root['$defs'] as Record<string, Schema>)[ref.replace('#/$defs/', '')]!;
  const parts = [...(target === undefined ? [] : [target]), ...((schema['allOf'] as Schema[] | undefined) ?? [])];
  found.push(...parts.flatMap((part) => within(part)));
  if (schema['if'] !== undefined) found.push(...within((within(schema['if']).length === 0 ? schema['then'] : schema['else']) ?? {}));
  if (Array.isArray(value) && schema['items'] !== undefined) {
    found.push(...value.flatMap((item, i) => within(schema['items'], `${place}[${i}]`, item)));
  }
  if (isObject(value)) {
    const properties = (schema['properties'] ?? {}) as Record<string, Schema>;
    const known = Object.assign({}, ...parts.map((part) => part['properties'] ?? {}), properties) as object;
    for (const [name, inner] of Object.entries(properties)) {
      if (name in value) found.push(...within(inner, `${place}.${name}`, value[name]));
    }
    if (schema['propertyNames'] !== undefined) {
      found.push(...Object.keys(value).flatMap((name) => within(schema['propertyNames'], `${place}.${name}`, name)));
    }
    check('additionalProperties', () => Object.keys(value).every((name) => name in properties));
    check('unevaluatedProperties', () => Object.keys(value).every((name) => name in known));
  }
  return found;
}
