/**
 * `npm run mutation:report`: what Stryker found (reports/mutation/<folder>.json) as docs/mutation.md, each survivor with its explanation
 * out of scripts/mutation/<folder>.json. Ends with 1 where a survivor has none, or an explanation has no survivor.
 *
 * A mutant is named by its line with the change in it, `return «a < b → a <= b» && c;`, which stays when lines move.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const FOLDERS = ['crypto', 'identity', 'pqxdh', 'ratchet', 'session', 'wire'];
const STATIC =
  'constants of modules, made when these load: each would need every test anew. More than half are the known answers of crypto/backend/answers.ts; vectors and the tests of other folders pin the rest';
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const oneLine = (text) => text.replace(/\s+/g, ' ').trim();
const short = (text) => (text.length > 70 ? `${text.slice(0, 50)} … ${text.slice(-15)}` : text);

/** The name of a mutant: its line with the change in it. */
function nameOf(source, { location: { start, end }, replacement }) {
  const lines = source.split('\n');
  const at = ({ line, column }) => lines.slice(0, line - 1).reduce((sum, { length }) => sum + length + 1, 0) + column - 1;
  const [before, after] = [lines[start.line - 1].slice(0, start.column - 1), lines[end.line - 1].slice(end.column - 1)];
  return oneLine(`${before}«${short(oneLine(source.slice(at(start), at(end))))} → ${short(oneLine(replacement))}»${after}`);
}

/** Explained survivors as a paragraph with a list. Two backticks, since code may hold one. */
const section = ({ why, mutants }) => `${why}\n\n${mutants.map((name) => `- \`\` ${name} \`\``).join('\n')}`;

/** Killed, timed out, survived and uncovered among `mutants`, as the cells of a row. Score as Stryker has it. */
function cells(mutants) {
  const [killed, timeout, survived, uncovered] = ['Killed', 'Timeout', 'Survived', 'NoCoverage'].map(
    (status) => mutants.filter((mutant) => mutant.status === status).length,
  );
  const counted = killed + timeout + survived + uncovered;
  const score = counted === 0 ? '–' : `${((100 * (killed + timeout)) / counted).toFixed(2)} %`;
  return `${killed} | ${timeout} | ${survived} | ${uncovered} | ${score}`;
}

const faults = [];
const table = ['| | killed | timeout | survived | not covered | score |', '|---|--:|--:|--:|--:|--:|'];
const survivors = [];
const ignored = new Map();
let version;
for (const folder of FOLDERS) {
  const path = `reports/mutation/${folder}.json`;
  const report = existsSync(path) ? readJson(path) : { files: {}, framework: {} };
  const explained = readJson(`scripts/mutation/${folder}.json`);
  version = report.framework.version ?? version;
  const rows = [];
  const all = [];
  for (const file of readdirSync(`src/${folder}`, { recursive: true }).sort()) {
    if (!file.endsWith('.ts')) continue;
    const path = `src/${folder}/${file}`;
    const now = readFileSync(path, 'utf8');
    const { source, mutants } = report.files[path] ?? {};
    const groups = explained[file] ?? [];
    delete explained[file];
    // Types and re-exports have no mutants.
    if (source === undefined && !/^(export )?(const|function|class) /m.test(now)) continue;
    if (source === undefined) {
      rows.push(`| ${folder}/${file} | not run | | | | |`);
      continue;
    }
    if (source !== now) faults.push(`changed since it was run: ${path}`);
    const left = mutants.filter(({ status }) => ['Survived', 'NoCoverage'].includes(status)).map((mutant) => nameOf(source, mutant));
    const known = groups.flatMap((group) => group.mutants);
    // Of lines that stand twice, each change is explained by itself.
    const count = (names, name) => names.filter((each) => each === name).length;
    for (const name of new Set([...left, ...known])) {
      const missing = count(left, name) - count(known, name);
      if (missing !== 0) faults.push(`${missing > 0 ? 'no explanation' : 'no such survivor'}: ${path}: ${name}`);
    }
    if (groups.length > 0) survivors.push(`### ${folder}/${file}`, ...groups.map(section));
    rows.push(`| ${folder}/${file} | ${cells(mutants)} |`);
    all.push(...mutants);
  }
  faults.push(...Object.keys(explained).map((file) => `no such file: ${folder}/${file}`));
  table.push(`| **${folder}/** | ${cells(all)} |`, ...rows);
  for (const { status, statusReason: why } of all) if (status === 'Ignored') ignored.set(why, (ignored.get(why) ?? 0) + 1);
}

if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exit(1);
}
const text = `# Mutation testing

StrykerJS ${version} changes one piece of the source at a time (a condition, a comparison, arithmetic, a string, a block), and runs the tests that
reach it. A change that a test notices is killed; one that survives is seen by no test. It changes no number that stands in the source, no
operation on bits, and removes no call: of bounds and of wiping the score says little, and tests of their own, and the vectors, more
(\`test/ratchet/wiping.test.ts\` among them). The six folders hold the primitives, accounts and devices, the handshake, the ratchets, the sessions
with a peer's device and the wire formats; nothing else is mutated, store/sealed/, backup/ and client/ among it. A mutant meets the unit tests of
its own folder, but for what \`vitest.mutation.config.ts\` adds and leaves out: not the vectors of every layer, not the client, not the soaks.
Results add up over runs: after a change, the mutants that it touches are run again.

\`\`\`sh
CYPHR_MUTATE=wire npm run mutation            # a folder; CYPHR_MUTATE=wire/codec.ts is one file of it
npm run mutation:report                       # this page
\`\`\`

Score: killed and timed out (an endless loop, or far too long a one), over these and those that survived or that no test reaches. Not counted:

${[...ignored].map(([reason, count]) => `- ${count}: ${reason.startsWith('Static') ? STATIC : reason}`).join('\n')}
- what stands under \`as\`, which StrykerJS takes for a type and never changes: tables \`as const\` above all, of labels and of layouts, which the
  vectors and \`test/crypto/labels.test.ts\` pin, and the verified bundle of pqxdh/bundle.ts, whose fields its tests pin

${table.join('\n')}

## Survivors

Each is a line with its change, \`«was → becomes»\`, behind the reason why it may live.

${survivors.join('\n\n')}
`;
writeFileSync('docs/mutation.md', text);
