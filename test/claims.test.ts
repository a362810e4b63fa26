/**
 * docs/claims.md against what it speaks of: README and threat model, source, tests, vectors. The page is the data; only its line numbers
 * are written by this file: `npm run claims`.
 */

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { anchors, ROOT, read } from './helpers/snippets.js';

const PAGE = 'docs/claims.md';

/** What the page must not leave out: of these parts each sentence, as a whole, or each bullet, by one sentence at least. */
const PARTS = [
  ['README.md', 'what-is-there', 'sentence'],
  ['README.md', 'what-is-promised-and-what-is-not', 'sentence'],
  ['README.md', 'state-that-survives', 'sentence'],
  ['docs/threat-model.md', 'adversaries', 'sentence'],
  ['docs/threat-model.md', 'what-is-not-promised', 'bullet'],
] as const;

/** Code that is shown, heads of tables, and rows of measured figures, whose sentence stands below them. */
const NOT_SAID = /^```[\s\S]*?^```$|^\|.*\|\n\|[-|]+\|$|^\|.* \d+ \/ \d+ \/ \d+ .*\|$/gm;

const QUOTE = /“([^”]+)” \[(?:README|threat model)\]\(([^)#]+)#([^)]+)\)/g;
const SYMBOL = /\[`([^`]+)`\]\(\.\.\/(src\/[^)#]+|examples\/[^)#]+)#L(\d+)\)/g;
const TEST = /\[([^\]]+?) › ([^\]]+)\]\(\.\.\/(test\/[^)#]+)#L(\d+)\)/g;
const VECTORS = /\[[\w-]+\.json\]\(\.\.\/(test-vectors\/[\w-]+\.json)\)((?: #[\w-]+)*)/g;
const MEASURED = /measured by `(?:npm run|npx tsx) [^`]+`/g;

/** As it reads: without marks, on one line. */
function plain(markdown: string): string {
  return markdown
    .replace(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .replaceAll('**', '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** The text below a heading, with the headings of lesser rank. */
function section(document: string, anchor: string): string {
  const parts = read(document).split(/^(?=#+ )/m);
  const rank = (part: string) => part.indexOf(' ');
  const from = parts.findIndex((part) => anchors(part)[0] === anchor);
  const to = parts.findIndex((part, i) => i > from && rank(part) <= rank(parts[from]!));
  expect(from, `${document}#${anchor}`).toBeGreaterThan(-1);
  return parts.slice(from, to < 0 ? undefined : to).join('');
}

/** Whether anything is said by so few words as were not quoted. */
const isSaid = (text: string): boolean => text.trim().split(' ').length > 2;

/** Cells, bullets and paragraphs, without headings. What a row is about stands in its first cell, and is not said. */
function blocks(markdown: string): { text: string; isName: boolean }[] {
  return markdown
    .replace(NOT_SAID, '')
    .split(/\n(?=\||- |#)|\n\n|(?<=^#+ .*)\n/m)
    .filter((block) => block.trim() !== '' && !block.startsWith('#'))
    .flatMap((block) => {
      const cells = /^\|(.*)\|$/.exec(block.trim())?.[1]?.split('|');
      if (cells === undefined) return [{ text: plain(block.replace(/^- /, '')), isName: false }];
      return cells.map((cell, i) => ({ text: plain(cell.replace(/^( \[[^\]]+\]\(\.\.\/test\/[^)]+\)( ·)?)+ $/, '')), isName: i === 0 }));
    });
}

interface Quote {
  readonly text: string;
  readonly document: string;
  readonly anchor: string;
}

const page = read(PAGE);
const rows = page
  .replace(/^\|.*\|\n\|[-|]+\|$/gm, '')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.slice(2, -2).split(' | '));
const claims = rows.filter(({ length }) => length === 4);
const quotes: Quote[] = [...page.matchAll(QUOTE)].map(([, text, path, anchor]) => ({
  text: text!,
  document: join('docs', path!),
  anchor: anchor!,
}));

/** The line of the first match, from 1; 0 for none. */
function lineOf(path: string, pattern: RegExp): number {
  const at = read(path).search(pattern);
  return at < 0 ? 0 : read(path).slice(0, at).split('\n').length;
}

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const symbolLine = (path: string, name: string): number =>
  lineOf(path, new RegExp(`(?<=^(?:export )?(?:async )?(?:function|const|class) )${literal(name)}\\b`, 'm'));
const testLine = (path: string, title: string): number => lineOf(path, new RegExp(`(?<=['"\`])${literal(title)}(?=['"\`],)`));

describe('docs/claims.md', () => {
  it('quotes what stands there', () => {
    const missing = quotes.filter(
      ({ text, document, anchor }) => !blocks(section(document, anchor)).some((block) => block.text.includes(text)),
    );
    expect(quotes.length).toBeGreaterThan(50);
    expect(missing).toEqual([]);
  });

  it('leaves out nothing that is said there', () => {
    const left = PARTS.flatMap(([document, anchor, each]) =>
      blocks(section(document, anchor)).flatMap(({ text, isName }) => {
        const quoted = quotes.flatMap((quote) => {
          const from = quote.document === document ? text.indexOf(quote.text) : -1;
          return from < 0 ? [] : [[from, from + quote.text.length] as const];
        });
        if (isName || (each === 'bullet' && quoted.length > 0)) return [];
        const rest = text
          .split('')
          .map((char, i) => (quoted.some(([from, to]) => i >= from && i < to) ? '\n' : char))
          .join('');
        return rest.split(/\n+|(?<=[.;]) /).filter(isSaid);
      }),
    );
    expect(left).toEqual([]);
  });

  it('names source and test of each claim, and else says why not', () => {
    expect(claims.length).toBeGreaterThan(40);
    for (const [said, source, tests, vectors] of claims) {
      expect(said!.match(QUOTE), said).not.toBeNull();
      expect(source!.match(SYMBOL), said).not.toBeNull();
      expect(tests!.match(TEST) ?? tests!.match(MEASURED), said).not.toBeNull();
      const rest = [
        said!.replace(QUOTE, ''),
        source!.replace(SYMBOL, ''),
        tests!.replace(TEST, '').replace(MEASURED, ''),
        vectors!.replace(VECTORS, ''),
      ];
      expect(rest.join('').replace(/[· ]/g, ''), said).toBe('');
    }
    for (const row of rows.filter((each) => !claims.includes(each))) {
      expect(row, row.join()).toHaveLength(2);
      expect(row[0]!.replace(QUOTE, '').replace(/[· ]/g, ''), row[1]).toBe('');
      expect(row[1]!.length, row[0]).toBeGreaterThan(10);
    }
  });

  it('names no vector that there is not', () => {
    const named = [...page.matchAll(VECTORS)];
    expect(named.length).toBeGreaterThan(5);
    for (const [, path, ids] of named) {
      const { cases = [] } = JSON.parse(read(path!)) as { cases?: { id: string }[] };
      expect(
        cases.map(({ id }) => id),
        path,
      ).toEqual(expect.arrayContaining(ids!.split(' #').slice(1)));
    }
  });

  it('names no symbol and no test that there is not, each with its line (`npm run claims` writes them)', async () => {
    const lines = page
      .replace(SYMBOL, (link, name: string, path: string) => link.replace(/\d+\)$/, `${symbolLine(path, name)})`))
      .replace(TEST, (link, _file: string, title: string, path: string) => link.replace(/\d+\)$/, `${testLine(path, title)})`));
    expect([...lines.matchAll(/\[[^\]]+\]\([^)]+#L0\)/g)].map(String)).toEqual([]);
    await expect(lines).toMatchFileSnapshot(join(ROOT, PAGE));
  });
});
