/** The documents against the code: codes, labels, constants, links, and every TypeScript snippet. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { LABELS } from '../src/crypto/labels.js';
import * as groups from '../src/limits.js';
import { anchors, DOCUMENTS, ROOT, read, snippetsOf } from './helpers/snippets.js';

/** The rows of the tables below a heading, as cells; code marks taken off the first cell. */
function rows(markdown: string, heading: string): string[][] {
  const start = markdown.indexOf(`\n${heading}`);
  expect(start, heading).toBeGreaterThan(-1);
  const depth = heading.indexOf(' ');
  const rest = markdown.slice(start + 1 + heading.length);
  const end = rest.search(new RegExp(`\\n#{1,${depth}} `));
  return [...(end < 0 ? rest : rest.slice(0, end)).matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)].map(([, first, others]) => [
    first!,
    ...others!.split('|').map((cell) => cell.trim()),
  ]);
}

describe('docs/errors.md', () => {
  const source = read('src/errors.ts');
  const actions = new Map([...source.matchAll(/^ {2}(ERR_[A-Z_]+): '(\w+)',$/gm)].map(([, code, action]) => [code!, action!]));
  const sections = read('docs/errors.md').split(/^## /m).slice(1);
  const documented = sections.flatMap((section) =>
    [...section.matchAll(/^\| `(ERR_[A-Z_]+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$/gm)].map((row) => ({
      type: /^\w+/.exec(section)![0],
      code: row[1]!,
      action: row[2]!,
      sentence: row[3]!,
    })),
  );

  it('has every code once, with its action and a sentence', () => {
    expect(actions.size).toBeGreaterThan(30);
    expect(documented.map(({ code, action }) => [code, action]).sort()).toEqual([...actions].sort());
    for (const { code, sentence } of documented) expect(sentence, code).toMatch(/^[A-Z].+\.$/);
  });

  it('has every code in its class', () => {
    for (const { type, code } of documented) {
      const declaration = new RegExp(`export class ${type} extends CyphrError<([^{]*)\\{`).exec(source);
      expect(declaration?.[1], `${code} in ${type}`).toContain(`'${code}'`);
    }
  });
});

describe('docs/protocol.md', () => {
  const protocol = read('docs/protocol.md');

  it('has the labels of the code, in order', () => {
    expect(rows(protocol, '### 1.3 Labels').map(([label]) => label)).toEqual([...LABELS]);
  });

  it('reserves no label that is in use', () => {
    const reserved = protocol.slice(protocol.indexOf('\n## 13. '), protocol.indexOf('\n## 14. '));
    for (const label of LABELS) expect(reserved).not.toContain(`\`${label}\``);
  });

  it('has every constant of the protocol with its value', () => {
    const { limits: _application, ...protocolGroups } = groups;
    const expected = Object.entries(protocolGroups).flatMap(([group, constants]) =>
      Object.entries(constants).map(([name, value]) => [`${group}.${name}`, String(value)]),
    );
    const documented = rows(protocol, '## 12. Constants').map(([name, value]) => [name, value]);
    expect(documented.sort()).toEqual(expected.sort());
  });

  it('has every section that a comment in the source names', () => {
    const headings = new Set([...protocol.matchAll(/^#+ (\d[\d.]*[a-z]?)/gm)].map(([, number]) => number!.replace(/\.$/, '')));
    for (const number of ['1.1', '1.2', '1.4', '2.2', '2.3', '2.4', '3', '4.1', '4.2', '4.3', '4.7', '4.8', '5', '6', '10', '10b']) {
      expect(headings, number).toContain(number);
    }
  });
});

describe('the reference of the API', () => {
  it('has every subpath of the package', () => {
    const { exports } = JSON.parse(read('package.json')) as { exports: Record<string, { types?: string }> };
    const declared = Object.values(exports).flatMap(({ types }) => types?.replace('./dist/', 'src/').replace('.d.ts', '.ts') ?? []);
    expect(declared.length).toBeGreaterThan(10);
    expect((JSON.parse(read('typedoc.json')) as { entryPoints: string[] }).entryPoints.sort()).toEqual(declared.sort());
  });
});

describe('docs/threat-model.md', () => {
  it('links each attack class to tests that carry its id', () => {
    const linked = [...read('docs/threat-model.md').matchAll(/^\| (T\d\d) \| [^|]+ \| (\[.*)\|$/gm)];
    expect(linked.length).toBeGreaterThan(20);
    for (const [, id, cell] of linked) {
      for (const [, path] of cell!.matchAll(/\]\(\.\.\/([^)]+)\)/g)) expect(read(path!), `${id} in ${path}`).toContain(id);
    }
  });
});

describe.each(DOCUMENTS)('%s', (document) => {
  it('has no dead local link', () => {
    for (const [, target] of read(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [path, fragment] = target!.split('#') as [string, string?];
      const file = path === '' ? join(ROOT, document) : resolve(ROOT, dirname(document), path);
      expect(existsSync(file), target).toBe(true);
      // Lines are test/claims.test.ts's.
      if (fragment !== undefined && !/^L\d+$/.test(fragment)) expect(anchors(readFileSync(file, 'utf8')), target).toContain(fragment);
    }
  });
});

it('every npm script that a document names is there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const named = DOCUMENTS.flatMap((document) =>
    [...read(document).matchAll(/\bnpm run ([a-z:-]+)/g)].map(([, name]) => `${document}: ${name}`),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((each) => scripts[each.slice(each.lastIndexOf(' ') + 1)] === undefined)).toEqual([]);
});

const snippets = DOCUMENTS.flatMap(snippetsOf);

it('every TypeScript snippet compiles against the package', () => {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, ROOT);
  const files = new Map(snippets.map(({ name, code }) => [join(ROOT, `${name.replace(/\W/g, '-')}.ts`), code]));
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, target, ...rest) =>
    files.has(path) ? ts.createSourceFile(path, files.get(path)!, target) : getSourceFile(path, target, ...rest);
  const program = ts.createProgram([...files.keys()], { ...options, noUnusedLocals: false }, host);
  const diagnostics = [...files.keys()].flatMap((path) => {
    const file = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
  });
  const told = diagnostics.map(
    ({ file, start, messageText }) => `${file?.fileName}@${start}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
  );
  expect(snippets.length).toBeGreaterThan(3);
  expect(told).toEqual([]);
});
