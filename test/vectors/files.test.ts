import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FILES, FOLDER, readVectors, releasedHashes, requireWritable, sha256Of, textOf } from '../../scripts/vectors/files.js';
import { fromHex } from '../../src/bytes.js';
import { decodeBraid } from '../../src/ratchet/braid/state.js';
import { PLAYERS, playFile } from '../../src/vectors/play.js';
import type { JsonObject, VectorCase, VectorStep } from '../../src/vectors/schema.js';
import { faults, type Schema } from '../helpers/json-schema.js';

const read = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');
const names = readdirSync(FOLDER).filter((name) => name.endsWith('.json') && name !== 'schema.json');
const schema = JSON.parse(read('schema.json')) as Schema;

describe.each(Object.entries(FILES))('T46: test-vectors/%s', (name, make) => {
  const stored = readVectors(name)!;

  it('is what its generator makes, to the byte', () => {
    expect(textOf(make()) === read(name), 'run `npm run vectors:generate`').toBe(true);
  });

  it('is of the schema', () => {
    expect(faults(schema, JSON.parse(read(name)))).toEqual([]);
    expect(new Set(stored.cases.map(({ id }) => id)).size).toBe(stored.cases.length);
  });
});

const steps = ({ steps: own = [], ...self }: VectorCase): VectorStep[] => [self, ...own];
const all = Object.keys(FILES).map((name) => [name, readVectors(name)!] as const);

describe('the files together', () => {
  it('are all there is, with the golden states, which are released', () => {
    const golden = names.filter((name) => FILES[name] === undefined);
    expect(golden.filter((name) => readVectors(name) !== undefined)).toEqual([]);
    expect(golden.filter((name) => !releasedHashes().has(name))).toEqual([]);
    expect(Object.keys(FILES).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('stand in the README, each with its kind', () => {
    const text = read('README.md');
    for (const [name, { kind }] of all) expect(text, name).toContain(kind === 'conversation' ? '`conversation-1.json`' : `\`${name}\``);
    for (const name of names) expect(text.includes(name) || /-(v\d+|\d)\.json$/.test(name), name).toBe(true);
  });

  it('are of every kind that there is a player for, and take each of its operations', () => {
    for (const [kind, { operations, machines = {} }] of Object.entries(PLAYERS)) {
      const taken = new Set(all.filter(([, file]) => file.kind === kind).flatMap(([, { cases }]) => cases.map(({ op }) => op)));
      expect([kind, ...taken].sort()).toEqual([kind, ...Object.keys(operations), ...Object.keys(machines)].sort());
    }
  });

  it('name attacks of the threat model with all that must be refused', () => {
    const model = readFileSync(new URL('../../docs/threat-model.md', import.meta.url), 'utf8');
    const refused = all.flatMap(([, { cases }]) => cases.flatMap(steps)).filter(({ result }) => result === 'invalid');
    expect(refused.length).toBeGreaterThan(450);
    const threats = new Set(refused.flatMap((step) => step.threats!));
    expect([...threats].filter((threat) => !model.includes(`| ${threat} |`))).toEqual([]);
    expect(threats.size).toBeGreaterThan(25);
  });

  it('are never changed once they are released', () => {
    for (const [name, hash] of releasedHashes()) expect([name, sha256Of(read(name))]).toEqual([name, hash]);
    expect(() => requireWritable('export-v1.json', '{}\n')).toThrow('is released and would change');
    expect(() => requireWritable('export-v1.json', read('export-v1.json'))).not.toThrow();
    expect(() => requireWritable('export-v2.json', '{}\n')).not.toThrow();
  });
});

describe('a player', () => {
  const file = readVectors('header.json')!;
  const changed = (id: string, change: (vector: VectorCase) => VectorCase) => ({
    ...file,
    cases: file.cases.map((vector) => (vector.id === id ? change(vector) : vector)),
  });
  const failed = (id: string, change: (vector: VectorCase) => VectorCase): string[] =>
    [...playFile(changed(id, change))].filter(({ ok }) => !ok).map((result) => `${result.id}: ${result.why}`);

  it('finds one hexadecimal digit, a missing output, and one too many', () => {
    const digit = (value: string): string => value.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    expect(failed('seal', (vector) => ({ ...vector, outputs: { ...vector.outputs, ad: digit(vector.outputs!['ad'] as string) } }))).toEqual(
      ['seal: seal.ad: another value'],
    );
    expect(failed('seal', (vector) => ({ ...vector, outputs: { ad: vector.outputs!['ad']! } }))).toEqual([
      'seal: seal.prefix: is not in the vectors',
    ]);
    expect(failed('seal', (vector) => ({ ...vector, outputs: { ...vector.outputs, more: 1 } }))).toEqual(['seal: seal.more: is missing']);
  });

  it('finds what is not refused, what is refused otherwise, and what is refused though it must not be', () => {
    expect(failed('tag-changed', (vector) => ({ ...vector, inputs: {} }))).toEqual([
      'tag-changed: open: was not refused, but must be with ERR_DECRYPT',
    ]);
    expect(failed('tag-changed', (vector) => ({ ...vector, code: 'ERR_DECODE' }))).toEqual([
      'tag-changed: open: refused with ERR_DECRYPT, not with ERR_DECODE',
    ]);
    expect(failed('open', (vector) => ({ ...vector, inputs: { headerKey: '00'.repeat(32) } }))).toEqual([
      'open: open: refused with ERR_DECRYPT',
    ]);
    expect(failed('open', (vector) => ({ ...vector, op: 'toString' }))).toEqual(['open: toString: no such operation']);
    expect(failed('open', (vector) => ({ ...vector, inputs: { headerKey: { of: 'nothing' } } }))).toEqual([
      'open: open: no such input in the vectors: nothing',
    ]);
  });

  it('plays what is in the file, and nothing of another schema or kind', () => {
    expect([...playFile(file)].every(({ ok }) => ok)).toBe(true);
    const refusal = (field: string) => expect.objectContaining({ code: 'ERR_ARGUMENT', field });
    expect(() => [...playFile({ ...file, schema: 'cyphr-vectors-2' as 'cyphr-vectors-1' })]).toThrow(refusal('schema'));
    expect(() => [...playFile({ ...file, kind: 'toString' })]).toThrow(refusal('kind'));
  });
});

it('T22: the braid’s vectors have every row: a send of each kind, each type to each, and each change', () => {
  const { given, cases } = readVectors('braid.json')!;
  const kindOf = (name: string): string => decodeBraid(fromHex((given!['states'] as JsonObject)[name] as string)!).phase.kind;
  const valid = cases.filter(({ result }) => result === 'valid');
  const received = valid.filter(({ op }) => op === 'receive');
  const before = ({ inputs }: VectorCase): string => kindOf(inputs['state'] as string);
  expect(new Set(valid.filter(({ op }) => op === 'send').map(before)).size).toBe(11);
  expect(new Set(received.map((each) => `${before(each)} ${(each.inputs['message'] as JsonObject)['type']}`)).size).toBe(11 * 7);
  const changes = received.map((each) => [before(each), kindOf(each.outputs!['next'] as string)]).filter(([from, to]) => from !== to);
  // Ten steps of the tables' arrows, and three that skip a state where a piece is one chunk.
  expect(new Set(changes.map((change) => change.join(' → '))).size).toBe(13);
});
