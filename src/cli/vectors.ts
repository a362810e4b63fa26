/** `vectors verify`: plays every file of test vectors in a folder, this project's, Wycheproof's and ACVP's. */

import { backend } from '../crypto/backend/chosen.js';
import { playFile } from '../vectors/play.js';
import { VECTOR_SCHEMA, type VectorFile } from '../vectors/schema.js';
import { joined, playAcvp } from '../vectors/third-party/acvp.js';
import { hasGroups, isMembers, type Outcome } from '../vectors/third-party/outcome.js';
import { playWycheproof } from '../vectors/third-party/wycheproof.js';
import type { Given } from './commands.js';
import { jsonFiles, progressBar, readFile, say, tell } from './terminal.js';

/** What came of one file. */
export interface FileReport {
  readonly file: string;
  /** What it is of; absent where it is nothing that is known here. */
  readonly kind?: string;
  readonly passed: number;
  /** Cases of what this library has not. */
  readonly foreign: number;
  readonly failed: readonly { readonly id: string; readonly why: string }[];
}

/** What came of a folder. */
export interface VectorsReport {
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly foreign: number;
  readonly files: readonly FileReport[];
}

/** Where the package has its own vectors: beside `dist`, as beside `src`. */
const OWN = new URL('../../test-vectors/', import.meta.url);

/** Plays all below `given.file`; `false` if a case failed, or there was none to play. */
export function verifyVectors({ file, json: isJson = false }: Given): boolean {
  const files = jsonFiles(file ?? OWN);
  const bar = progressBar(files.length, isJson);
  const played = files.map(({ name, path }) => {
    const report = playJson(name, readJson(path), () => readJson(path.replace(PROMPT, 'expectedResults.json')));
    bar.next(name);
    return report;
  });
  bar.stop();
  const sum = (count: (report: FileReport) => number): number => played.reduce((total, report) => total + count(report), 0);
  const [passed, failed, foreign] = [sum((each) => each.passed), sum(({ failed }) => failed.length), sum((each) => each.foreign)];
  const report: VectorsReport = { ok: failed === 0 && passed > 0, passed, failed, foreign, files: played };
  if (isJson) say(JSON.stringify(report));
  else for (const line of linesOf(report)) say(line);
  if (passed === 0) tell(`nothing to play: the vectors stand in the package, and in the folder test-vectors of its repository`);
  return report.ok;
}

/** A file of ACVP that asks, beside which another answers. */
const PROMPT = /prompt\.json$/;
const ANSWERS = /expectedResults\.json$/;

/** The parsed file; the error where it is none, or no JSON. */
function readJson(path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(readFile(path)));
  } catch (error) {
    return error;
  }
}

function playJson(file: string, json: unknown, answers: () => unknown): FileReport {
  if (json instanceof Error) return { file, passed: 0, foreign: 0, failed: [{ id: 'file', why: json.message }] };
  try {
    const [kind, outcomes] = outcomesOf(file, json, answers);
    const all = [...outcomes];
    return {
      file,
      ...(kind !== undefined && { kind }),
      passed: all.filter(({ ok }) => ok === true).length,
      foreign: all.filter(({ ok }) => ok === undefined).length,
      failed: all.filter(({ ok }) => ok === false).map(({ id, why = 'failed' }) => ({ id, why })),
    };
  } catch (error) {
    return { file, passed: 0, foreign: 0, failed: [{ id: 'file', why: error instanceof Error ? error.message : String(error) }] };
  }
}

function outcomesOf(file: string, json: unknown, answers: () => unknown): readonly [kind: string | undefined, outcomes: Iterable<Outcome>] {
  if (isMembers(json) && json['schema'] === VECTOR_SCHEMA) return [String(json['kind']), playFile(json as unknown as VectorFile)];
  if (ANSWERS.test(file)) return [undefined, []]; // played with its prompt
  const whole = PROMPT.test(file) ? withAnswers(json, answers()) : json;
  const [wycheproof, acvp] = [playWycheproof(whole, backend), playAcvp(whole, backend)];
  const members = Array.isArray(whole) ? (whole[1] as unknown) : whole;
  const algorithm = hasGroups(members) ? `${String(members['algorithm'])} ${String(members['mode'] ?? '')}`.trim() : '';
  if (wycheproof !== undefined) return [`Wycheproof ${algorithm}`, wycheproof];
  return acvp === undefined ? [undefined, []] : [`ACVP ${algorithm}`, acvp];
}

function withAnswers(prompt: unknown, answers: unknown): unknown {
  if (answers instanceof Error) throw answers;
  return joined(prompt, answers);
}

function* linesOf({ files, passed, failed, foreign }: VectorsReport): Generator<string> {
  for (const report of files) {
    const count = report.passed + report.failed.length;
    if (count === 0) continue;
    const others = report.foreign > 0 ? `, ${report.foreign} not for us` : '';
    yield `${report.failed.length === 0 ? 'ok  ' : 'FAIL'}  ${report.file}  ${report.kind ?? ''}  ${report.passed} of ${count}${others}`;
    for (const { id, why } of report.failed) yield `      ${id}: ${why}`;
  }
  const none = files.filter((report) => report.passed + report.failed.length === 0);
  for (const { file, kind, foreign } of none)
    yield `  --  ${file}  ${kind ?? 'nothing that is known here'}, not for us${foreign > 0 ? ` (${foreign})` : ''}`;
  yield '';
  yield `${passed} passed, ${failed} failed, ${foreign} not for us, in ${files.length - none.length} of ${files.length} files`;
}
